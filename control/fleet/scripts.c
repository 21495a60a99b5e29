/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/fleet/scripts.h"

const char *const levee_scripts[LEVEE_SCRIPTS] = {
	/* KEYS meta; ARGV schema bin window seed -> schema bin window seed, as agreed */
	[LEVEE_SCRIPT_JOIN] =
		"if redis.call('EXISTS', KEYS[1]) == 0 then\n"
		"  redis.call('HSET', KEYS[1], 'schema', ARGV[1], 'bin', ARGV[2], 'window', "
		"ARGV[3],\n"
		"             'seed', ARGV[4], 'since', redis.call('TIME')[1])\n"
		"end\n"
		"return redis.call('HMGET', KEYS[1], 'schema', 'bin', 'window', 'seed')\n",

	/*
	 * KEYS meta nodes records dirty eval; ARGV live_ms force -> how many nodes were seen in the last
	 * live_ms, whether it was done, and schema, bin, window as they were. What was agreed on is
	 * forgotten, unless a node of it lives, and with it what was counted by it; blocks and lifts stay.
	 */
	[LEVEE_SCRIPT_RESET] =
		"local t = redis.call('TIME')\n"
		"local have = redis.call('HMGET', KEYS[1], 'schema', 'bin', 'window', 'since')\n"
		"if not have[1] or not have[4] then return {0, 0, '', '', ''} end\n"
		"local live = 0\n"
		"for _, text in ipairs(redis.call('HVALS', KEYS[2])) do\n"
		"  local seen = tonumber(string.match(text, '^%d+'))\n"
		"  if seen and t[1] * 1000 - seen < tonumber(ARGV[1]) then live = live + 1 end\n"
		"end\n"
		"local done = (live == 0 or ARGV[2] == '1') and 1 or 0\n"
		"if done == 1 then redis.call('DEL', unpack(KEYS)) end\n"
		"return {live, done, have[1], have[2] or '', have[3] or ''}\n",

	/*
	 * KEYS nodes lease token dirty eval meta; ARGV node text claim ttl_ms stand seed life
	 * -> engine's ms, holder, ours, dirty bins, the last evaluation: bin, threshold of the fast
	 * path, n, mean, deviation, findings, nodes, of these late, missing; how many nodes there are
	 * A token is never below the engine's time in us, so it grows even if the engine lost it.
	 * An engine that lost everything elects nobody before a lease that was lost with it must
	 * have run out; who still talks to it, and knows another seed, has to join again. Of two
	 * that have one name the one that began to live first keeps it; `life` ends the text.
	 */
	[LEVEE_SCRIPT_BEAT] =
		"local since = redis.call('HGET', KEYS[6], 'since')\n"
		"if not since or redis.call('HGET', KEYS[6], 'seed') ~= ARGV[6] then\n"
		"  return redis.error_reply('NOSCRIPT the fleet is gone')\n"
		"end\n"
		"local t = redis.call('TIME')\n"
		"local us = t[1] * 1000000 + t[2]\n"
		"local ms = string.format('%.0f', math.floor(us / 1000))\n"
		"local before = redis.call('HGET', KEYS[1], ARGV[1])\n"
		"local seen, life = string.match(before or '', '^(%d+) .* (%x+)$')\n"
		"if seen and life < ARGV[7] and ms - seen < 3000 then\n"
		"  return redis.error_reply('LEVEETWICE ' .. ARGV[1])\n"
		"end\n"
		"redis.call('HSET', KEYS[1], ARGV[1], ms .. ' ' .. ARGV[2] .. ' ' .. ARGV[7])\n"
		"local holder = redis.call('GET', KEYS[2])\n"
		"local ours = 0\n"
		"if ARGV[5] == '1' then\n"
		"  if holder and holder == ARGV[3] then\n"
		"    redis.call('PEXPIRE', KEYS[2], ARGV[4])\n"
		"    ours = 1\n"
		"  elseif not holder and (t[1] - since) * 1000 > tonumber(ARGV[4]) + 1000 then\n"
		"    local token = math.max(tonumber(redis.call('GET', KEYS[3]) or '0') + 1, us)\n"
		"    token = string.format('%.0f', token)\n"
		"    redis.call('SET', KEYS[3], token)\n"
		"    holder = ARGV[1] .. ' ' .. token\n"
		"    redis.call('SET', KEYS[2], holder, 'PX', ARGV[4])\n"
		"    ours = 1\n"
		"  end\n"
		"end\n"
		"return {ms, holder or '', ours, redis.call('HGETALL', KEYS[4]),\n"
		"        redis.call('HMGET', KEYS[5], 'start', 'threshold', 'n', 'mean', "
		"'stddev',\n"
		"                   'findings', 'nodes', 'late', 'missing'), redis.call('HLEN', "
		"KEYS[1])}\n",

	/* KEYS lease nodes; ARGV claim node -> 1 if it was ours */
	[LEVEE_SCRIPT_RESIGN] = "redis.call('HDEL', KEYS[2], ARGV[2])\n"
				"if redis.call('GET', KEYS[1]) == ARGV[1] then return "
				"redis.call('DEL', KEYS[1]) end\n"
				"return 0\n",

	/*
	 * KEYS parts lane...; ARGV part ttl_s, then for each lane: how many, source, value...
	 * -> 1 if the bin was closed before. A part that is there already changes nothing.
	 */
	[LEVEE_SCRIPT_ADD] = "local late = redis.call('HEXISTS', KEYS[1], 'closed')\n"
			     "if redis.call('HSETNX', KEYS[1], ARGV[1], late) == 0 then\n"
			     "  return tonumber(redis.call('HGET', KEYS[1], ARGV[1]))\n"
			     "end\n"
			     "local at = 3\n"
			     "for k = 2, #KEYS do\n"
			     "  local n = tonumber(ARGV[at])\n"
			     "  at = at + 1\n"
			     "  for _ = 1, n do\n"
			     "    redis.call('HINCRBY', KEYS[k], ARGV[at], ARGV[at + 1])\n"
			     "    at = at + 2\n"
			     "  end\n"
			     "  if redis.call('TTL', KEYS[k]) < 0 then redis.call('EXPIRE', "
			     "KEYS[k], ARGV[2]) end\n"
			     "end\n"
			     "if redis.call('TTL', KEYS[1]) < 0 then redis.call('EXPIRE', KEYS[1], "
			     "ARGV[2]) end\n"
			     "return late\n",

	/*
	 * KEYS bin dirty records; ARGV start_s ttl_s part what; `what` as levee_fleet_done has it.
	 * A bin with a record already is marked for another look.
	 */
	[LEVEE_SCRIPT_DONE] =
		"redis.call('HSET', KEYS[1], ARGV[3], ARGV[4])\n"
		"if redis.call('TTL', KEYS[1]) < 0 then redis.call('EXPIRE', KEYS[1], ARGV[2]) "
		"end\n"
		"if redis.call('HEXISTS', KEYS[3], ARGV[1]) == 1 then\n"
		"  redis.call('HINCRBY', KEYS[2], ARGV[1], 1)\n"
		"  return 1\n"
		"end\n"
		"return 0\n",

	/*
	 * KEYS parts lane packets answered; ARGV minimum ttl_s histogram with_answered
	 * -> n, values above 2^48 (taken as 2^48), the sums of low, high, low^2, low * high, high^2,
	 * each as part below 2^24 and rest; the candidates: source, value, packets, answered; and if
	 * histogram is 1 the cells of control/detect/histogram.h, "BUCKET COUNT BUCKET COUNT ...".
	 * A value is high * 2^24 + low, so each product is below 2^48; a sum is carried over before
	 * it passes 2^53.
	 */
	[LEVEE_SCRIPT_REDUCE] =
		"redis.call('HSET', KEYS[1], 'closed', 1)\n"
		"if redis.call('TTL', KEYS[1]) < 0 then redis.call('EXPIRE', KEYS[1], ARGV[2]) "
		"end\n"
		"local all = redis.call('HGETALL', KEYS[2])\n"
		"local M, FULL, MAX = 16777216, 4503599627370496, 281474976710656\n"
		"local min, wanted, looks = tonumber(ARGV[1]), ARGV[3] == '1', ARGV[4] == '1'\n"
		"local own = KEYS[2] == KEYS[3]\n"
		"local floor, frexp = math.floor, math.frexp\n"
		"local n, capped, lo, hi = #all / 2, 0, 0, 0\n"
		"local ll, ll2, lh, lh2, hh, hh2 = 0, 0, 0, 0, 0, 0\n"
		"local found, cells, text = {}, {}, {}\n"
		"for i = 2, #all, 2 do\n"
		"  local v = tonumber(all[i])\n"
		"  if v > MAX then v = MAX; capped = capped + 1 end\n"
		"  if v > min then\n"
		"    local source, at = all[i - 1], #found\n"
		"    found[at + 1] = source\n"
		"    found[at + 2] = string.format('%.0f', v)\n"
		"    found[at + 3] = own and found[at + 2] or redis.call('HGET', KEYS[3], source) "
		"or '0'\n"
		"    found[at + 4] = looks and redis.call('HEXISTS', KEYS[4], source) or 0\n"
		"  end\n"
		"  if wanted then\n"
		"    local b = v\n"
		"    if v >= MAX then b = 5376\n"
		"    elseif v >= 256 then\n"
		"      local _, e = frexp(v)\n"
		"      b = (e - 8) * 128 + floor(v / 2 ^ (e - 8))\n"
		"    end\n"
		"    cells[b] = (cells[b] or 0) + 1\n"
		"  end\n"
		"  if v >= M then\n"
		"    local h = floor(v / M)\n"
		"    v = v - h * M\n"
		"    hi = hi + h\n"
		"    hh = hh + h * h\n"
		"    if hh >= FULL then local c = floor(hh / M); hh2 = hh2 + c; hh = hh - c * M "
		"end\n"
		"    lh = lh + h * v\n"
		"    if lh >= FULL then local c = floor(lh / M); lh2 = lh2 + c; lh = lh - c * M "
		"end\n"
		"  end\n"
		"  lo = lo + v\n"
		"  ll = ll + v * v\n"
		"  if ll >= FULL then local c = floor(ll / M); ll2 = ll2 + c; ll = ll - c * M end\n"
		"end\n"
		"for b, count in pairs(cells) do text[#text + 1] = string.format('%d %d', b, "
		"count) "
		"end\n"
		"local f = '%.0f %.0f %.0f %.0f %.0f %.0f %.0f %.0f %.0f %.0f'\n"
		"return {string.format(f, n, capped, lo, hi, ll, ll2, lh, lh2, hh, hh2), found,\n"
		"        table.concat(text, ' ')}\n",

	/*
	 * KEYS lease records dirty eval bin; ARGV claim start_s record seen oldest_s done, then fields
	 * of eval -> 1, or 0 if the claim is not the lease's any more. A node that was done between
	 * the leader's look (`done` of them) and this is marked as late: the bin is made again.
	 */
	[LEVEE_SCRIPT_RECORD] =
		"if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end\n"
		"redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])\n"
		"if (redis.call('HGET', KEYS[3], ARGV[2]) or '') == ARGV[4] then\n"
		"  redis.call('HDEL', KEYS[3], ARGV[2])\n"
		"end\n"
		"if redis.call('HLEN', KEYS[5]) > tonumber(ARGV[6]) then\n"
		"  redis.call('HINCRBY', KEYS[3], ARGV[2], 1)\n"
		"end\n"
		"for _, start in ipairs(redis.call('HKEYS', KEYS[2])) do\n"
		"  if tonumber(start) < tonumber(ARGV[5]) then redis.call('HDEL', KEYS[2], start) "
		"end\n"
		"end\n"
		"if #ARGV > 6 then redis.call('HSET', KEYS[4], unpack(ARGV, 7)) end\n"
		"return 1\n",

	/*
	 * KEYS lease blocks events; ARGV claim ("": no matter who leads) keep, then prefix, entry...
	 * -> how many were taken; -1 if the claim is not the lease's any more
	 * The order of two entries is that of levee_fleet_entry_wins(): "S K ORDER EXPIRES W ..."
	 */
	[LEVEE_SCRIPT_PUBLISH] =
		"if ARGV[1] ~= '' and redis.call('GET', KEYS[1]) ~= ARGV[1] then return -1 end\n"
		"local t = redis.call('TIME')\n"
		"local now = t[1] * 1000 + math.floor(t[2] / 1000)\n"
		"local taken = 0\n"
		"local head = '^%a (%d) (%d+) (%d+) (%d) '\n"
		"for i = 3, #ARGV, 2 do\n"
		"  local k, o, e, w = string.match(ARGV[i + 1], head)\n"
		"  local old = redis.call('HGET', KEYS[2], ARGV[i])\n"
		"  local wins = k ~= nil\n"
		"  if wins and old then\n"
		"    local k2, o2, e2, w2 = string.match(old, head)\n"
		"    if k2 and (e2 == '0' or tonumber(e2) > now) then\n"
		"      if k ~= k2 then wins = k > k2\n"
		"      elseif o ~= o2 then wins = tonumber(o) > tonumber(o2)\n"
		"      else wins = w > w2 end\n"
		"    end\n"
		"  end\n"
		"  if wins then\n"
		"    redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1])\n"
		"    redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[2], '*', ARGV[i], ARGV[i + "
		"1])\n"
		"    taken = taken + 1\n"
		"  end\n"
		"end\n"
		"return taken\n",

	/* KEYS hash; ARGV field, text...: those that still have this text go -> how many */
	[LEVEE_SCRIPT_PRUNE] = "local gone = 0\n"
			       "for i = 1, #ARGV, 2 do\n"
			       "  if redis.call('HGET', KEYS[1], ARGV[i]) == ARGV[i + 1] then\n"
			       "    gone = gone + redis.call('HDEL', KEYS[1], ARGV[i])\n"
			       "  end\n"
			       "end\n"
			       "return gone\n",

	/*
	 * KEYS shares; ARGV source node total threshold ttl_s -> the sum, and 1 to the first who
	 * brings it over the threshold: it blocks the source. If it goes on all the same, somebody
	 * else is asked to after a second. A total that was seen already changes nothing.
	 */
	[LEVEE_SCRIPT_SHARE] =
		"local mine = ARGV[1] .. '|' .. ARGV[2]\n"
		"local old = tonumber(redis.call('HGET', KEYS[1], mine) or '0')\n"
		"local sum = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '0')\n"
		"local total = tonumber(ARGV[3])\n"
		"local first = 0\n"
		"if total > old then\n"
		"  redis.call('HSET', KEYS[1], mine, ARGV[3])\n"
		"  sum = redis.call('HINCRBY', KEYS[1], ARGV[1], "
		"string.format('%.0f', total - old))\n"
		"  redis.call('EXPIRE', KEYS[1], ARGV[5])\n"
		"end\n"
		"if sum > tonumber(ARGV[4]) then\n"
		"  local t = redis.call('TIME')\n"
		"  local ms = t[1] * 1000 + math.floor(t[2] / 1000)\n"
		"  local asked = redis.call('HGET', KEYS[1], ARGV[1] .. '!')\n"
		"  if not asked or ms - tonumber(asked) > 1000 then\n"
		"    redis.call('HSET', KEYS[1], ARGV[1] .. '!', string.format('%.0f', "
		"ms))\n"
		"    first = 1\n"
		"  end\n"
		"end\n"
		"return {string.format('%.0f', sum), first}\n",
};
