/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/api/auth.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define TOKEN_MAX 512

static int check_file(int fd, char *why, size_t size)
{
	struct stat st;

	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		snprintf(why, size, "not a regular file");
		return -EINVAL;
	}
	if (st.st_mode & 0007) {
		snprintf(why, size, "others may read or write it (mode %04o): chmod 0640",
			 (unsigned int)(st.st_mode & 07777));
		return -EPERM;
	}
	return 0;
}

static int take_token(struct levee_token *token, char *text, size_t n, char *why, size_t size)
{
	text[n] = '\0';
	n = strcspn(text, "\r\n");
	text[n] = '\0';
	if (n < LEVEE_TOKEN_MIN) {
		snprintf(why, size, "the token has fewer than %d characters", LEVEE_TOKEN_MIN);
		return -EINVAL;
	}
	for (size_t i = 0; i < n; i++) {
		if (text[i] > ' ' && text[i] < 0x7f)
			continue;
		snprintf(why, size, "the token has a character that is not printable ASCII");
		return -EINVAL;
	}
	SHA256((const unsigned char *)text, n, token->digest);
	return 0;
}

int levee_token_read(struct levee_token *token, const char *path, char *why, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char text[TOKEN_MAX];
	ssize_t n;
	int ret;

	if (fd < 0) {
		ret = -errno;
		snprintf(why, size, "%s", strerror(-ret));
		return ret;
	}
	ret = check_file(fd, why, size);
	if (!ret) {
		n = read(fd, text, sizeof(text) - 1);
		ret = n < 0 ? -errno : take_token(token, text, (size_t)n, why, size);
		OPENSSL_cleanse(text, sizeof(text));
	}
	close(fd);
	return ret;
}

bool levee_token_matches(const struct levee_token *token, const char *authorization)
{
	static const char scheme[] = "Bearer ";
	uint8_t digest[32];

	if (!authorization || strncasecmp(authorization, scheme, sizeof(scheme) - 1))
		return false;
	authorization += sizeof(scheme) - 1;
	/* Digests are of one length, so neither length nor content shows in the time. */
	SHA256((const unsigned char *)authorization, strlen(authorization), digest);
	return CRYPTO_memcmp(digest, token->digest, sizeof(digest)) == 0;
}
