-- Every script begins so: it reads what each call gives (its own arguments are `rest`) and defines
-- what several scripts do. What the keys hold stands in redis.rs.

local nodes, mine = KEYS[1], KEYS[2]
-- What all keys of the register begin with.
local presence = string.sub(nodes, 1, -string.len('nodes') - 1)
local node_id, lease, owed, chunk = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local most_handed_over = tonumber(ARGV[5])
local rest = {unpack(ARGV, 6)}
local told = presence .. 'told:' .. node_id

-- For each user by its place, the live nodes that have it.
local function on(users)
    local found = {}
    if #users == 0 then return found end
    for _, node in ipairs(redis.call('SMEMBERS', nodes)) do
        local scores = redis.call('ZMSCORE', presence .. 'node:' .. node, unpack(users))
        for i, score in ipairs(scores) do
            if score then
                found[i] = found[i] or {}
                table.insert(found[i], node)
            end
        end
    end
    return found
end

-- The chats in what a node states of a user.
local function chats(stated)
    return stated and string.match(stated, '^%d+;(.*)$') or ''
end

-- What was told of a user goes to one of the nodes that still have it.
local function hand_over(user, stated, to)
    if chats(stated) == '' then return end
    local key = presence .. 'told:' .. to
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
    redis.call('SADD', presence .. 'telling', to)
end

-- Those of the users that no live node has any more, each followed by the chats that were told of it.
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
end
