-- What the portal expects in a fresh PostgreSQL: its two roles, its database, its extensions. Run once by psql as the
-- superuser, who is needed for nothing afterwards. The passwords come from the addresses in the two secret files, so
-- that each is written down once; passwords there are letters and digits, or this would have to undo percent-encoding.
\set ON_ERROR_STOP on
\set app_url `cat "${SECRETS_DIR:-/run/secrets}/database_url"`
\set owner_url `cat "${SECRETS_DIR:-/run/secrets}/database_owner_url"`
SELECT substring(:'app_url' from '^postgresql://portal_app:([A-Za-z0-9]{16,})@') AS app_password,
       substring(:'owner_url' from '^postgresql://portal_owner:([A-Za-z0-9]{16,})@') AS owner_password \gset
CREATE ROLE portal_owner LOGIN PASSWORD :'owner_password';
CREATE ROLE portal_app LOGIN PASSWORD :'app_password';
CREATE DATABASE portal OWNER portal_owner;
REVOKE ALL ON DATABASE portal FROM PUBLIC;
GRANT CONNECT ON DATABASE portal TO portal_app;
\connect portal
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE EXTENSION IF NOT EXISTS pg_stat_statements;
