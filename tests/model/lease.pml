/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The lease and its fencing token (control/fleet/lease.h, LEVEE_SCRIPT_BEAT, levee_fleet_fence()),
 * for `spin -a`: any delays, lost answers, pauses of any length, and a server that forgets all.
 *
 * Time is in ticks, and everybody's clock ticks alike. A node may stop between any two steps for
 * as long as it likes, but the step from the check to the write ends within CALL ticks or is not
 * taken: levee gives an AWS call up when its lease is over.
 *
 *	safe	no two nodes are between check and write at the same time, and tokens that were
 *		written never go back
 *
 * With -DNO_DEADLINE a node writes however long ago it has checked, with -DNO_FENCE it does not
 * ask the server, with -DNO_QUIET a server that lost everything elects at once: each must be
 * found to be unsafe.
 */
#define NODES  2
#define TTL    4 /* how long the server keeps the lease after a beat */
#define SLACK  2 /* a node stops so much earlier by its own clock */
#define CALL   1 /* a write's time limit, below SLACK */
#define TOKENS 4 /* as many elections are looked at */

#define NOBODY NODES

/* the server */
byte holder = NOBODY;
byte token = 0; /* last one given out */
byte held = 0;	/* that of the lease in force */
byte left = 0;	/* ticks until it expires */
byte quiet = 0; /* ticks until it may be given out again, after all was lost */

/* the nodes */
byte mine[NODES];   /* token of the lease it believes in; 0: none */
byte until[NODES];  /* ticks that it may still act */
byte age[NODES];    /* ticks since the beat on its way was sent */
bool sent[NODES];   /* a beat is on its way, or its answer */
byte since[NODES];  /* ticks since its check */
bool writes[NODES]; /* between check and write */

byte written = 0; /* token of the last write: the ACL's tag */
byte writers = 0;

proctype clock()
{
	byte i;

	do
	:: atomic {
		if
		:: left > 0 ->
			left--;
			if
			:: left == 0 -> holder = NOBODY
			:: else
			fi
		:: else
		fi;
		if
		:: quiet > 0 -> quiet--
		:: else
		fi;
		i = 0;
		do
		:: i < NODES ->
			if
			:: until[i] > 0 -> until[i]--
			:: else
			fi;
			if
			:: sent[i] && age[i] < TTL -> age[i]++
			:: else
			fi;
			if
			:: writes[i] && since[i] <= CALL -> since[i]++
			:: else
			fi;
			i++
		:: else -> break
		od;
		i = 0
	}
	od
}

/*
 * It loses everything, the lease and its last token among it. A new token is larger all the same,
 * since it is no less than the server's time; and nobody is given the lease before one that was
 * lost must have run out.
 */
proctype outage()
{
	atomic {
		holder = NOBODY;
		left = 0;
#ifndef NO_QUIET
		quiet = TTL
#endif
	}
}

proctype node(byte me)
{
	byte got;

	do
	/* a beat: sent, worked by the server, answered or not */
	:: atomic { !sent[me] && !writes[me] -> sent[me] = true; age[me] = 0 };
	   atomic {
		got = 0;
		if
		:: holder == me && mine[me] == held && mine[me] != 0 ->
			left = TTL;
			got = held
		:: holder == NOBODY && quiet == 0 && token < TOKENS ->
			token++;
			held = token;
			holder = me;
			left = TTL;
			got = token
		:: else
		fi
	   };
	   atomic {
		if
		:: mine[me] = got;
		   if
		   :: got != 0 && age[me] < TTL - SLACK -> until[me] = TTL - SLACK - age[me]
		   :: else -> until[me] = 0
		   fi
		:: skip /* the answer is lost */
		fi;
		sent[me] = false;
		age[me] = 0
	   }

	/* a step of the leader: check, then write */
#ifdef NO_FENCE
	:: atomic { mine[me] != 0 && !sent[me] -> writes[me] = true; since[me] = 0; writers++ };
#else
	:: atomic {
		mine[me] != 0 && until[me] > 0 && !sent[me] && holder == me && held == mine[me] ->
		writes[me] = true;
		since[me] = 0;
		writers++
	   };
#endif
	   atomic {
		if
#ifdef NO_DEADLINE
		:: true ->
#else
		:: since[me] <= CALL ->
#endif
			assert(mine[me] >= written);
			written = mine[me]
		:: since[me] > CALL /* given up */
		fi;
		writers--;
		writes[me] = false;
		since[me] = 0
	   }
	od
}

init {
	atomic {
		run clock();
		run outage();
		run node(0);
		run node(1)
	}
}
