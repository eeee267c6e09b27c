#!/bin/sh
# Makes what the two nodes share and what the database needs: keys, a password, a certificate. Only what is missing.
set -eu
cd "$(dirname "$0")"
umask 077
mkdir -p made/shared made/tls made/a made/b

npm --prefix ../.. run -s countersign -- keys "$PWD/made/shared/keys"

if [ ! -e made/shared/postgres-password ]; then
  openssl rand -hex 32 | tr -d '\n' > made/shared/postgres-password
fi
cp made/shared/postgres-password made/tls/password

if [ ! -e made/tls/server.crt ]; then
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 825 -subj '/CN=countersign example authority' \
    -addext 'basicConstraints=critical,CA:TRUE' -addext 'keyUsage=critical,keyCertSign' \
    -keyout made/tls/ca.key -out made/shared/ca.crt 2> /dev/null
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj '/CN=database' \
    -keyout made/tls/server.key -out made/tls/server.csr 2> /dev/null
  printf 'subjectAltName=DNS:database,DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n' > made/tls/server.ext
  openssl x509 -req -in made/tls/server.csr -CA made/shared/ca.crt -CAkey made/tls/ca.key -CAcreateserial -days 825 \
    -extfile made/tls/server.ext -out made/tls/server.crt 2> /dev/null
  rm made/tls/server.csr made/tls/server.ext made/tls/ca.key made/shared/ca.srl
  chmod 644 made/tls/server.crt
fi

printf 'COUNTERSIGN_USER=%s:%s\n' "$(id -u)" "$(id -g)" > .env
echo 'made. Now: docker compose up --build'
