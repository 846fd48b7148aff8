-- PostgreSQL's chats that are not numbered have a list of their own. Here their index does.
INSERT INTO meta (key, value) VALUES ('oldest_program_9', '4');
