import type { Cluster, DatabaseAddress } from '../postgres.ts'

/**
 * Has the database keep the rule of `src/store/postgres/locks.ts`: whoever writes a task, or what is remembered of an
 * agent, holds the lock of that agent or of everything, and whoever writes heads or answers holds that of everything.
 * Stands in for every test that would look for a verb whose locks are too few.
 */
export async function guardRows(cluster: Cluster, database: DatabaseAddress): Promise<void> {
  await cluster.admin(
    database,
    `set search_path to countersign;

    create function lock_number(variadic name text[]) returns bigint language sql immutable as $$
      select ('x' || encode(substring(sha256(convert_to(
        regexp_replace(to_json(array['countersign', 'countersign'] || name)::text, '\\s*,\\s*(?=")', ',', 'g'), 'UTF8')), 1, 8), 'hex'))
        ::bit(64)::bigint
    $$;

    create function holds(number bigint, exclusively text) returns boolean language sql as $$
      select exists (select from pg_locks where locktype = 'advisory' and pid = pg_backend_pid() and granted and objsubid = 1
        and classid::bigint = (number >> 32) & 4294967295 and objid::bigint = number & 4294967295 and mode = exclusively)
    $$;

    create function of_an_agent() returns trigger language plpgsql as $$
      declare agent text := coalesce(new.agent, old.agent);
      begin
        if not holds(lock_number('agent', agent), 'ExclusiveLock') and not holds(lock_number('everything'), 'ExclusiveLock') then
          raise exception 'a row of % in % is written without a lock', agent, tg_table_name;
        end if;
        return coalesce(new, old);
      end $$;

    create function of_everybody() returns trigger language plpgsql as $$
      begin
        if not holds(lock_number('everything'), 'ExclusiveLock') then
          raise exception '% is written by somebody who is not alone', tg_table_name;
        end if;
        return coalesce(new, old);
      end $$;

    create function of_the_log() returns trigger language plpgsql as $$
      begin
        if not holds(lock_number('log'), 'ExclusiveLock') and not holds(lock_number('everything'), 'ExclusiveLock') then
          raise exception 'an entry gets its index without the lock of the sequence';
        end if;
        return new;
      end $$;

    create trigger guard before insert or update or delete on tasks for each row execute function of_an_agent();
    create trigger guard before insert or update or delete on memories for each row execute function of_an_agent();
    create trigger guard before insert or update or delete on proofs for each row execute function of_an_agent();
    create trigger guard before insert on asks for each row execute function of_an_agent();
    create trigger guard before insert or update or delete on heads for each row execute function of_everybody();
    create trigger guard before insert or update or delete on tools for each row execute function of_everybody();
    create trigger guard before insert or update or delete on servers for each row execute function of_everybody();
    create trigger guard before insert or update or delete on revocations for each row execute function of_everybody();
    create trigger guard before insert or update or delete on agents for each row execute function of_everybody();
    create trigger guard before insert on entries for each row execute function of_the_log();`,
  )
}
