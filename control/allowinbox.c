/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/allowinbox.h"

#include <pthread.h>
#include <stdlib.h>

struct slot {
	struct levee_allowlist list; /* not yet taken */
	bool waits;
	bool ever;
};

struct levee_allow_inbox {
	pthread_mutex_t lock;
	struct slot slots[LEVEE_ALLOW_SLOTS];
};

struct levee_allow_inbox *levee_allow_inbox_new(void)
{
	struct levee_allow_inbox *inbox = calloc(1, sizeof(*inbox));

	if (inbox)
		pthread_mutex_init(&inbox->lock, NULL);
	return inbox;
}

void levee_allow_inbox_free(struct levee_allow_inbox **inbox)
{
	struct levee_allow_inbox *box = *inbox;

	if (!box)
		return;
	for (int i = 0; i < LEVEE_ALLOW_SLOTS; i++)
		levee_allowlist_clear(&box->slots[i].list);
	pthread_mutex_destroy(&box->lock);
	free(box);
	*inbox = NULL;
}

void levee_allow_inbox_put(struct levee_allow_inbox *inbox, enum levee_allow_slot slot,
			   struct levee_allowlist *list)
{
	struct slot *s = &inbox->slots[slot];

	pthread_mutex_lock(&inbox->lock);
	levee_allowlist_clear(&s->list);
	s->list = *list;
	s->waits = true;
	s->ever = true;
	pthread_mutex_unlock(&inbox->lock);
	*list = (struct levee_allowlist){ 0 };
}

bool levee_allow_inbox_take(struct levee_allow_inbox *inbox, enum levee_allow_slot slot,
			    struct levee_allowlist *out)
{
	struct slot *s = &inbox->slots[slot];
	bool waits;

	pthread_mutex_lock(&inbox->lock);
	waits = s->waits;
	if (waits) {
		levee_allowlist_clear(out);
		*out = s->list;
		s->list = (struct levee_allowlist){ 0 };
		s->waits = false;
	}
	pthread_mutex_unlock(&inbox->lock);
	return waits;
}

bool levee_allow_inbox_has(struct levee_allow_inbox *inbox, enum levee_allow_slot slot)
{
	bool ever;

	pthread_mutex_lock(&inbox->lock);
	ever = inbox->slots[slot].ever;
	pthread_mutex_unlock(&inbox->lock);
	return ever;
}
