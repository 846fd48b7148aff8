-- A chat's id carries its bucket, as PostgreSQL's do: programs give the ids. A file lies in one place, so its foreign
-- keys stay.

INSERT INTO meta (key, value) VALUES ('oldest_program_17', '4');
