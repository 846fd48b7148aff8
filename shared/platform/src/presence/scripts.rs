//! The steps of presence in Redis: each script makes a change and its verdict one. Of two nodes that take
//! in a user at the same moment exactly one brought them online, and of two that sweep a dead one each
//! user goes to one. What the keys hold stands in [`super::redis`].

use redis::Script;

/// Every script begins so. `rest`: the call's own arguments. `on(users)`: for each by its place, the
/// live nodes that have it. `hand_over`: what was told of a user goes to one of these nodes.
macro_rules! script {
    ($body:literal) => {
        Script::new(concat!(
            "local nodes, mine = KEYS[1], KEYS[2]
            local node_id, lease, owed, chunk = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
            local most_handed_over = tonumber(ARGV[5])
            local rest = {unpack(ARGV, 6)}
            local told = 'presence:told:' .. node_id
            local function on(users)
                local found = {}
                if #users == 0 then return found end
                for _, node in ipairs(redis.call('SMEMBERS', nodes)) do
                    local scores = redis.call('ZMSCORE', 'presence:node:' .. node, unpack(users))
                    for i, score in ipairs(scores) do
                        if score then
                            found[i] = found[i] or {}
                            table.insert(found[i], node)
                        end
                    end
                end
                return found
            end
            local function chats(stated)
                return stated and string.match(stated, '^%d+;(.*)$') or ''
            end
            local function hand_over(user, stated, to)
                if chats(stated) == '' then return end
                local key = 'presence:told:' .. to
                local there = redis.call('HGET', key, user) or '1;;'
                local has, count = {}, 0
                for chat in string.gmatch(chats(there), '%d+') do has[chat] = true end
                local handed_over = string.match(there, '^%d+;[^;]*;(.*)$')
                for _ in string.gmatch(handed_over, '%d+') do count = count + 1 end
                for chat in string.gmatch(chats(stated), '%d+') do
                    if not has[chat] and count < most_handed_over then
                        there = there .. ',' .. chat
                        has[chat], count = true, count + 1
                    end
                end
                redis.call('HSET', key, user, there)
                redis.call('PEXPIRE', key, owed)
                redis.call('SADD', 'presence:telling', to)
            end
            local function gone(users, stated)
                local result = {}
                local found = on(users)
                for i, user in ipairs(users) do
                    if found[i] then
                        hand_over(user, stated[i], found[i][1])
                    else
                        table.insert(result, user)
                        table.insert(result, chats(stated[i]))
                    end
                end
                return result
            end\n",
            $body
        ))
    };
}

/// One for each kind of call, with the arguments that [`super::redis`] gives all of them.
pub(super) struct Scripts {
    pub(super) enter: Script,
    pub(super) leave: Script,
    pub(super) renew: Script,
    pub(super) dead: Script,
    pub(super) sweep: Script,
    pub(super) online: Script,
    pub(super) connections: Script,
}

impl Default for Scripts {
    fn default() -> Self {
        Self {
            // A node without `told` for a user has one that states no sockets: it counts as one.
            enter: script!(
                "local users, stated, entries = {}, {}, {}
                for i = 1, #rest, 2 do
                    table.insert(users, rest[i])
                    table.insert(stated, rest[i + 1])
                    table.insert(entries, rest[i])
                    table.insert(entries, rest[i])
                end
                local found = on(users)
                local before = redis.call('HMGET', told, unpack(users))
                local result, kept = {}, {}
                for i, user in ipairs(users) do
                    local elsewhere, known = 0, chats(before[i])
                    for _, node in ipairs(found[i] or {}) do
                        if node ~= node_id then
                            local there = redis.call('HGET', 'presence:told:' .. node, user)
                            local sockets = there and string.match(there, '^%d+') or 1
                            elsewhere = elsewhere + sockets
                            known = known .. ';' .. chats(there)
                        end
                    end
                    local handed_over = string.match(before[i] or '', '^%d+;[^;]*;(.*)$') or ''
                    table.insert(kept, user)
                    table.insert(kept, stated[i] .. ';' .. handed_over)
                    table.insert(result, {found[i] and 0 or 1, elsewhere, known})
                end
                redis.call('HSET', told, unpack(kept))
                redis.call('PEXPIRE', told, owed)
                redis.call('SADD', 'presence:telling', node_id)
                redis.call('ZADD', mine, unpack(entries))
                redis.call('PEXPIRE', mine, lease)
                redis.call('SADD', nodes, node_id)
                return result"
            ),
            leave: script!(
                "local stated = redis.call('HMGET', told, unpack(rest))
                redis.call('HDEL', told, unpack(rest))
                redis.call('ZREM', mine, unpack(rest))
                return gone(rest, stated)"
            ),
            // This member is only set here: a set that users entered after the lease was lost lacks
            // it, so the loss is noticed all the same.
            renew: script!(
                "local held = redis.call('ZADD', mine, 0, 'lease') == 0
                redis.call('PEXPIRE', mine, lease)
                redis.call('PEXPIRE', told, owed)
                redis.call('SET', 'presence:connections:' .. node_id, rest[1], 'PX', lease)
                redis.call('SADD', nodes, node_id)
                for _, node in ipairs(redis.call('SMEMBERS', nodes)) do
                    if redis.call('EXISTS', 'presence:node:' .. node) == 0 then
                        redis.call('SREM', nodes, node)
                    end
                end
                if redis.call('DEL', 'presence:swept:' .. node_id) == 1 then return 2 end
                return held and 1 or 0"
            ),
            dead: script!(
                "local result = {}
                for _, node in ipairs(redis.call('SMEMBERS', 'presence:telling')) do
                    if redis.call('EXISTS', 'presence:node:' .. node) == 0 then
                        table.insert(result, node)
                    end
                end
                return result"
            ),
            sweep: script!(
                "if redis.call('EXISTS', mine) == 1 then return false end
                local some = redis.call('HRANDFIELD', told, chunk, 'WITHVALUES')
                if #some == 0 then
                    redis.call('SREM', 'presence:telling', node_id)
                    return false
                end
                local users, stated = {}, {}
                for i = 1, #some, 2 do
                    table.insert(users, some[i])
                    table.insert(stated, some[i + 1])
                end
                redis.call('HDEL', told, unpack(users))
                redis.call('SET', 'presence:swept:' .. node_id, 1, 'PX', owed)
                return gone(users, stated)"
            ),
            online: script!(
                "local found, result = on(rest), {}
                for i, user in ipairs(rest) do
                    if found[i] then table.insert(result, user) end
                end
                return result"
            ),
            connections: script!(
                "local sum = 0
                for _, node in ipairs(redis.call('SMEMBERS', nodes)) do
                    sum = sum + (redis.call('GET', 'presence:connections:' .. node) or 0)
                end
                return sum"
            ),
        }
    }
}
