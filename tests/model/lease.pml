/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The lease and its fencing token (control/fleet/lease.h, LEVEE_SCRIPT_BEAT, levee_fleet_fence()),
 * for `spin -a`: any delays, lost answers, pauses of any length, and a server that forgets all.
 *
 * Time is in ticks, and everybody's clock ticks alike. A node may stop between any two steps for
 * as long as it likes, but a call is sent while its lease lasts by its own clock or not at all, and
 * what was sent is carried out within FLIGHT ticks, whether or not its sender still waits. A new
 * leader writes WAIT ticks after it knows that it is one.
 *
 *	safe	tokens of what is carried out never go back: nothing of a leader before comes after
 *		anything of the next one
 *
 * With -DNO_DEADLINE a node sends however long ago it has asked the server, with -DNO_WAIT a new
 * leader writes at once, with -DNO_QUIET a server that lost everything elects at once: each must be
 * found to be unsafe.
 */
#define NODES  2
#define TTL    3 /* how long the server keeps the lease after a beat */
#define SLACK  1 /* a node stops so much earlier by its own clock */
#define WAIT   2 /* TTL - SLACK: as long as a lease is acted on */
#define FLIGHT 2 /* from the sending of a call to its effect; below SLACK + WAIT */
#define TOKENS 3 /* as many elections are looked at */

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
byte waits[NODES];  /* ticks until it may write */
byte age[NODES];    /* ticks since the beat on its way was sent */
bool sent[NODES];   /* a beat is on its way, or its answer */
byte call[NODES];   /* token of the call on its way to EC2; 0: none */
byte flown[NODES];  /* ticks since it was sent */

byte written = 0; /* token of what was carried out last */

#ifdef NO_WAIT
#define WAITED(i) true
#else
#define WAITED(i) (waits[i] == 0)
#endif
#define LANDS(i) (call[i] != 0 && flown[i] == FLIGHT)

proctype clock()
{
	byte i;

	do
	:: atomic { !LANDS(0) && !LANDS(1) ->
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
			:: waits[i] > 0 -> waits[i]--
			:: else
			fi;
			if
			:: sent[i] && age[i] < TTL -> age[i]++
			:: else
			fi;
			if
			:: call[i] != 0 -> flown[i]++
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
 * since it is no less than the server's time. A server that begins anew gives no lease before one
 * that was lost has run out; a replica takes over no sooner than FLIGHT ticks after the last answer.
 */
proctype outage()
{
	atomic {
		holder = NOBODY;
		left = 0;
#ifndef NO_QUIET
		if
		:: quiet = TTL
		:: quiet = FLIGHT
		fi
#endif
	}
}

/* Beats: sent, worked by the server, answered or not. */
proctype beats(byte me)
{
	byte got, claim;

	do
	:: atomic { !sent[me] -> sent[me] = true; age[me] = 0; claim = mine[me] };
	   atomic {
		got = 0;
		if
		:: holder == me && claim == held && claim != 0 ->
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
		:: if
		   :: got != mine[me] -> waits[me] = WAIT
		   :: else
		   fi;
		   mine[me] = got;
		   if
		   :: got != 0 && age[me] < TTL - SLACK -> until[me] = TTL - SLACK - age[me]
		   :: else -> until[me] = 0
		   fi
		:: skip /* the answer is lost */
		fi;
		sent[me] = false;
		age[me] = 0;
		got = 0;
		claim = 0
	   }
	od
}

/* A step of the leader on a network ACL: ask the server, send the call. It is carried out later. */
proctype writer(byte me)
{
	byte asked;

	do
	:: atomic {
		mine[me] != 0 && until[me] > 0 && WAITED(me) && holder == me && held == mine[me] ->
		asked = mine[me]
	   };
	   atomic {
		if
#ifdef NO_DEADLINE
		:: true ->
#else
		:: mine[me] == asked && until[me] > 0 ->
#endif
			call[me] = asked;
			flown[me] = 0
		:: else /* given up */
		fi;
		asked = 0
	   };
	   atomic {
		if
		:: call[me] != 0 ->
			assert(call[me] >= written);
			written = call[me];
			call[me] = 0;
			flown[me] = 0
		:: else
		fi
	   }
	od
}

init {
	atomic {
		run clock();
		run outage();
		run beats(0);
		run beats(1);
		run writer(0);
		run writer(1)
	}
}
