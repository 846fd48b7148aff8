-- Nothing: a file has no read replicas.

INSERT INTO meta (key, value) VALUES ('oldest_program_16', '4');
