-- PostgreSQL has a table of what changed lately, because an index of `changed_at` costs it more than that.
-- Here the index costs less.
INSERT INTO meta (key, value) VALUES ('oldest_program_10', '4');
