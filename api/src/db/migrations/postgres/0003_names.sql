-- What the accounts' names look like: a skeleton (UTS 39, 4) is kept for the first account that it is the
-- skeleton of, and no new name may have it. Accounts from before may look alike; those after the first
-- have no row here. Filled in by the program. Users are never removed, so there is no foreign key.
CREATE TABLE username_skeletons (
    skeleton TEXT COLLATE "C" NOT NULL CONSTRAINT username_skeletons_skeleton PRIMARY KEY,
    user_id BIGINT NOT NULL
);
