-- What administration looks for. Additive: older programs go on beside it. The indexes of users are made beside
-- the writers, by the program.

-- What administrators tell everybody who is connected: one text at a time.
CREATE TABLE announcement (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    text TEXT, -- NULL: withdrawn
    made_by BIGINT, -- NULL: the operator, on the command line
    made_at BIGINT NOT NULL,
    ends_at BIGINT -- NULL: it stays until it is withdrawn
);

INSERT INTO meta (key, value) VALUES ('oldest_program_14', '4');
