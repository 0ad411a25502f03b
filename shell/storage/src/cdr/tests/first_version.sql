CREATE TABLE cdr (
    calldate TEXT NOT NULL, clid TEXT NOT NULL, src TEXT NOT NULL, dst TEXT NOT NULL, dcontext TEXT NOT NULL,
    channel TEXT NOT NULL, dstchannel TEXT NOT NULL, lastapp TEXT NOT NULL, lastdata TEXT NOT NULL,
    duration INTEGER NOT NULL, billsec INTEGER NOT NULL, disposition TEXT NOT NULL, amaflags INTEGER NOT NULL,
    accountcode TEXT NOT NULL, uniqueid TEXT NOT NULL, userfield TEXT NOT NULL, start TEXT NOT NULL, answer TEXT,
    end TEXT, start_us INTEGER NOT NULL, answer_us INTEGER, end_us INTEGER, identity TEXT NOT NULL UNIQUE
);
CREATE INDEX cdr_start ON cdr (start_us);
INSERT INTO cdr VALUES (
    '2023-11-14 22:13:20', '', '5000', 'old', '', '', '', '', '', 10, 7, 'ANSWERED', 3, '', '1.1', '',
    '2023-11-14 22:13:20', NULL, '2023-11-14 22:13:30', 1700000000000000, NULL, 1700000010000000, 'one'
);
