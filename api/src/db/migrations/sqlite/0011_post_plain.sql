-- PostgreSQL has a function that stores plain messages in one call. Here a statement is only a call.
INSERT INTO meta (key, value) VALUES ('oldest_program_11', '4');
