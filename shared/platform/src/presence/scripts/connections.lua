-- How many connections the live nodes have together.
local sum = 0
for _, node in ipairs(redis.call('SMEMBERS', nodes)) do
    sum = sum + (redis.call('GET', presence .. 'connections:' .. node) or 0)
end
return sum
