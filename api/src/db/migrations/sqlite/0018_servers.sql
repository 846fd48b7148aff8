-- Nothing: a file is the only server.

INSERT INTO meta (key, value) VALUES ('oldest_program_18', '4');
