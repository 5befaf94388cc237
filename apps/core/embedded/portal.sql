-- What the portal expects inside a fresh cluster. Run by psql as the superuser; every line may run again.
\set ON_ERROR_STOP on
\set QUIET on
SET client_min_messages = warning;
SELECT 'CREATE ROLE portal_owner LOGIN CREATEDB'
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'portal_owner') \gexec
SELECT 'CREATE ROLE portal_app LOGIN'
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'portal_app') \gexec
-- In the template, so that databases made for tests have the extensions too; one of them needs a superuser.
\connect template1
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_stat_statements;
CREATE EXTENSION IF NOT EXISTS pg_trgm;
\connect postgres
SELECT 'CREATE DATABASE portal OWNER portal_owner'
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'portal') \gexec
