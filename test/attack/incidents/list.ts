/**
 * Publicly known incidents at the boundary between agents and their tools. `title` has who reported it and when, as in the
 * guide. `mark`: what a broker in the path can do about it. `prevent` and `ask` have tests whose names carry the number;
 * `limit` (it detects, or bounds the damage) and `out of reach` are said openly in the guide.
 */
export type Incident = {
  readonly number: number
  readonly title: string
  readonly mark: readonly ('prevent' | 'ask' | 'limit' | 'out of reach')[]
}

export const incidents: readonly Incident[] = [
  {
    number: 1,
    title: 'GitHub MCP toxic agent flow (Invariant, 2025-05-26)',
    mark: ['prevent', 'ask'],
  },
  { number: 2, title: 'Supabase lethal trifecta (General Analysis, 2025-07)', mark: ['prevent'] },
  { number: 3, title: 'WhatsApp MCP takeover (Invariant, 2025-04)', mark: ['prevent'] },
  { number: 4, title: 'Tool poisoning: an `add` that reads keys into a hidden parameter', mark: ['prevent'] },
  { number: 5, title: 'mcp-remote CVE-2025-6514 (JFrog)', mark: ['prevent'] },
  { number: 6, title: 'MCP Inspector CVE-2025-49596', mark: ['prevent'] },
  { number: 7, title: 'postmark-mcp (Koi, 2025-09-17 to 25)', mark: ['out of reach'] },
  { number: 8, title: 'Asana MCP, mixed-up tenants (2025-06-04)', mark: ['limit', 'out of reach'] },
  { number: 9, title: 'EscapeRoute, filesystem server, CVE-2025-53110 and 53109', mark: ['prevent'] },
  { number: 10, title: 'CurXecute, Cursor, CVE-2025-54135', mark: ['prevent'] },
  { number: 11, title: 'MCPoison, Cursor, CVE-2025-54136', mark: ['prevent'] },
  { number: 12, title: 'EchoLeak CVE-2025-32711', mark: ['out of reach', 'prevent'] },
  { number: 13, title: 'Figma MCP CVE-2025-53967', mark: ['prevent', 'out of reach'] },
  { number: 14, title: 'Slack MCP link unfurling CVE-2025-34072', mark: ['prevent'] },
  { number: 15, title: 'Smithery path traversal (2025)', mark: ['limit'] },
  {
    number: 16,
    title: 'mcp-server-git CVE-2025-68143, 68144 and 68145 (2026-01-20)',
    mark: ['prevent'],
  },
  { number: 17, title: 'Design issue of stdio (OX, 2026-04-15)', mark: ['prevent'] },
  { number: 18, title: 'OpenClaw CVE-2026-25253 and ClawHavoc', mark: ['prevent', 'limit'] },
  { number: 19, title: 'n8n CVE-2026-21858 and takeovers of other runners', mark: ['limit'] },
  { number: 20, title: 'MCPwnfluence, mcp-atlassian, CVE-2026-27825', mark: ['prevent'] },
  {
    number: 21,
    title: 'Azure MCP CVE-2026-32211 and CVE-2026-26118, MCPJam CVE-2026-23744',
    mark: ['prevent'],
  },
  { number: 22, title: 'MCP Registry CVE-2026-44430, Spring mcp-security CVE-2026-45609', mark: ['prevent'] },
  { number: 23, title: 'ServiceNow BodySnatcher CVE-2025-12420, confused deputies', mark: ['prevent'] },
  {
    number: 24,
    title: 'Living off AI, Atlassian, comment and control (2025-06 to 2026)',
    mark: ['prevent', 'ask'],
  },
  { number: 25, title: 'TrustFall, project-level `mcp.json` (2026)', mark: ['prevent'] },
  { number: 26, title: 'Consent: padding, fatigue, replayed approvals', mark: ['prevent'] },
  { number: 27, title: 'Shadowing, name collision, sampling, card drift', mark: ['prevent'] },
  { number: 28, title: 'Production deleted without an attacker', mark: ['ask'] },
]
