// SPDX-License-Identifier: Apache-2.0
/*
 * The CNI plugin that container runtimes execute: hands one request to the agent of this node over a unix
 * socket and prints its answer. It knows no JSON: what the request means is the agent's business.
 *
 * The folder of the socket is /run/sluice, unless a file "PROGRAM.folder" beside this program names another.
 * While no agent answers, DEL is queued in that folder (cni-queue) and succeeds; the rest is refused with the
 * codes of the specification.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define DEFAULT_FOLDER "/run/sluice"
#define SOCKET_NAME "cni.sock"
#define QUEUE_NAME "cni-queue"

/* Version of what is spoken with the agent: operator/cni/frame.ts. */
#define MAGIC "sluicni1"

enum limit {
	MAX_ENVIRONMENT = 64 * 1024,
	MAX_CONFIG = 4 * 1024 * 1024,
	MAX_ANSWER = 4 * 1024 * 1024,
	MAX_QUEUED = 4096,
	/* A runtime waits two minutes for a sandbox. */
	TIMEOUT_MS = 90 * 1000,
};

/* Of the specification. */
enum cni_code {
	CNI_BAD_ENVIRONMENT = 4,
	CNI_IO_FAILED = 5,
	CNI_TRY_AGAIN = 11,
	CNI_NOT_AVAILABLE = 50,
};

struct header {
	char magic[8];
	/* Network byte order. Request: bytes of the environment and of the configuration. Answer: exit code, bytes. */
	uint32_t first;
	uint32_t second;
};

struct request {
	const char *command;
	const char *container;
	const char *interface;
	/* Header, environment (NAME=VALUE, each ended by a NUL), configuration. */
	char *bytes;
	size_t length;
};

static char folder[PATH_MAX] = DEFAULT_FOLDER;
static int64_t deadline_ms;

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Paths and error texts hold neither quotes nor control characters, or they are left out. */
static void print_escaped(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text >= ' ' && *text != '"' && *text != '\\')
			putchar(*text);
}

static int fail(enum cni_code code, const char *message, const char *details)
{
	printf("{\"cniVersion\":\"1.1.0\",\"code\":%d,\"msg\":\"", code);
	print_escaped(message);
	printf("\",\"details\":\"");
	print_escaped(details);
	printf("\"}\n");
	return 1;
}

static int print_version(void)
{
	puts("{\"cniVersion\":\"1.1.0\",\"supportedVersions\":[\"0.1.0\",\"0.2.0\",\"0.3.0\",\"0.3.1\","
	     "\"0.4.0\",\"1.0.0\",\"1.1.0\"]}");
	return 0;
}

static bool read_folder(void)
{
	char path[PATH_MAX + 8];
	char line[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", path, PATH_MAX);
	FILE *file;

	if (length <= 0)
		return true;
	strcpy(path + length, ".folder");
	file = fopen(path, "re");
	if (!file)
		return errno == ENOENT;
	if (fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = 0;
		strcpy(folder, line);
	}
	fclose(file);
	return folder[0] == '/';
}

static bool read_config(char **bytes, size_t *length)
{
	size_t room = 16 * 1024;

	*length = 0;
	*bytes = malloc(room);
	while (*bytes) {
		ssize_t got = read(STDIN_FILENO, *bytes + *length, room - *length);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return false;
		if (got == 0)
			return true;
		*length += got;
		if (*length > MAX_CONFIG) {
			errno = EFBIG;
			return false;
		}
		if (*length == room)
			*bytes = realloc(*bytes, room *= 2);
	}
	return false;
}

static bool make_request(struct request *request)
{
	extern char **environ;
	size_t environment = 0, config;
	char *text, *at;
	struct header header = { .magic = MAGIC };

	for (char **entry = environ; *entry; entry++)
		if (!strncmp(*entry, "CNI_", 4))
			environment += strlen(*entry) + 1;
	if (environment > MAX_ENVIRONMENT) {
		errno = E2BIG;
		return false;
	}
	if (!read_config(&text, &config))
		return false;
	request->length = sizeof(header) + environment + config;
	request->bytes = malloc(request->length);
	if (!request->bytes)
		return false;
	header.first = htonl(environment);
	header.second = htonl(config);
	at = mempcpy(request->bytes, &header, sizeof(header));
	for (char **entry = environ; *entry; entry++)
		if (!strncmp(*entry, "CNI_", 4))
			at = mempcpy(at, *entry, strlen(*entry) + 1);
	memcpy(at, text, config);
	free(text);
	return true;
}

static int connect_agent(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	/* Bounds the wait for a place among the waiting connections. */
	struct timeval patience = { .tv_sec = 10 };
	int fd;

	if (snprintf(address.sun_path, sizeof(address.sun_path), "%s/" SOCKET_NAME, folder) >=
	    (int)sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* Moves bytes until they are all there; false with errno 0 when the other side ended. */
static bool transfer(int fd, char *bytes, size_t length, bool sending)
{
	while (length > 0) {
		struct pollfd wait = { .fd = fd, .events = sending ? POLLOUT : POLLIN };
		int64_t left = deadline_ms - now_ms();
		ssize_t done;

		if (left <= 0 || poll(&wait, 1, left) == 0) {
			errno = ETIMEDOUT;
			return false;
		}
		done = sending ? send(fd, bytes, length, MSG_NOSIGNAL | MSG_DONTWAIT)
			       : recv(fd, bytes, length, MSG_DONTWAIT);
		if (done < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (done <= 0) {
			if (done == 0)
				errno = 0;
			return false;
		}
		bytes += done;
		length -= done;
	}
	return true;
}

static bool is_timeout;

/* Returns the exit code; -1 when there was no answer. */
static int ask(int fd, const struct request *request)
{
	struct header header;
	char *answer = NULL;
	uint32_t length;
	bool complete;

	/* An agent that refuses early answers before it has read everything: so the answer is read anyway. */
	complete = transfer(fd, request->bytes, request->length, true) || errno == EPIPE;
	complete = complete && transfer(fd, (char *)&header, sizeof(header), false);
	if (complete && !memcmp(header.magic, MAGIC, sizeof(header.magic)) &&
	    (length = ntohl(header.second)) <= MAX_ANSWER) {
		answer = malloc(length + 1);
		complete = answer && transfer(fd, answer, length, false);
	}
	is_timeout = !complete && errno == ETIMEDOUT;
	close(fd);
	if (!complete || !answer)
		return -1;
	if (fwrite(answer, 1, length, stdout) != length || fflush(stdout) != 0)
		return 1;
	return ntohl(header.first) & 0xff;
}

static uint64_t hash(uint64_t state, const char *text)
{
	do {
		state = (state ^ (unsigned char)*text) * 0x100000001b3;
	} while (*text++);
	return state;
}

static bool write_all(int fd, const char *bytes, size_t length)
{
	while (length > 0) {
		ssize_t done = write(fd, bytes, length);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return false;
		bytes += done;
		length -= done;
	}
	return true;
}

static int count_entries(int fd)
{
	DIR *queue = fdopendir(dup(fd));
	int count = 0;

	if (!queue)
		return -1;
	while (readdir(queue))
		count++;
	closedir(queue);
	return count;
}

/* A file appears in the queue whole and on disk, or not at all. */
static bool write_queued(int queue, const struct request *request, const char *name)
{
	char fresh[64];
	int fd;
	bool done;

	if (count_entries(queue) > MAX_QUEUED) {
		errno = EDQUOT;
		return false;
	}
	snprintf(fresh, sizeof(fresh), "%d.new", getpid());
	fd = openat(queue, fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 && errno == EEXIST) {
		/* Of a process that is gone: its number is ours now. */
		unlinkat(queue, fresh, 0);
		fd = openat(queue, fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	}
	if (fd < 0)
		return false;
	done = write_all(fd, request->bytes, request->length) && fsync(fd) == 0 &&
	       renameat(queue, fresh, queue, name) == 0 && fsync(queue) == 0;
	if (!done) {
		int reason = errno;

		unlinkat(queue, fresh, 0);
		errno = reason;
	}
	close(fd);
	return done;
}

static bool is_name(const char *text)
{
	return text && *text && strlen(text) < 256;
}

static int queue_delete(const struct request *request)
{
	char path[PATH_MAX + 16], name[32];
	int queue, fd, code;

	if (!is_name(request->container) || !is_name(request->interface))
		return fail(CNI_BAD_ENVIRONMENT, "DEL needs CNI_CONTAINERID and CNI_IFNAME", "");
	snprintf(path, sizeof(path), "%s/" QUEUE_NAME, folder);
	mkdir(folder, 0700);
	mkdir(path, 0700);
	queue = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	snprintf(name, sizeof(name), "%016llx.del",
		 (unsigned long long)hash(hash(0xcbf29ce484222325, request->container), request->interface));
	if (queue < 0 || !write_queued(queue, request, name))
		return fail(CNI_TRY_AGAIN, "no agent answers, and the removal cannot be queued", strerror(errno));
	/* An agent that came meanwhile may have read the queue before the file was there. */
	fd = connect_agent();
	if (fd < 0)
		return 0;
	code = ask(fd, request);
	if (code >= 0)
		unlinkat(queue, name, 0);
	return code < 0 ? 0 : code;
}

static int without_agent(const struct request *request, const char *details)
{
	if (!strcmp(request->command, "DEL"))
		return queue_delete(request);
	if (!strcmp(request->command, "STATUS"))
		return fail(CNI_NOT_AVAILABLE, "the agent of Sluice does not answer on this node", details);
	return fail(CNI_TRY_AGAIN, "the agent of Sluice does not answer on this node", details);
}

int main(void)
{
	struct request request = {
		.command = getenv("CNI_COMMAND"),
		.container = getenv("CNI_CONTAINERID"),
		.interface = getenv("CNI_IFNAME"),
	};
	int fd, code;

	deadline_ms = now_ms() + TIMEOUT_MS;
	if (!request.command || !*request.command)
		return fail(CNI_BAD_ENVIRONMENT, "CNI_COMMAND is not set", "this program is started by a container runtime");
	if (!strcmp(request.command, "VERSION"))
		return print_version();
	if (!read_folder())
		return fail(CNI_IO_FAILED, "the file .folder beside this program names no absolute path", strerror(errno));
	if (!make_request(&request))
		return fail(CNI_IO_FAILED, "cannot read the request", strerror(errno));
	fd = connect_agent();
	if (fd < 0 && errno != ENOENT && errno != ECONNREFUSED)
		return fail(CNI_TRY_AGAIN, "cannot reach the agent of Sluice", strerror(errno));
	if (fd < 0)
		return without_agent(&request, strerror(errno));
	code = ask(fd, &request);
	if (code >= 0)
		return code;
	if (is_timeout)
		return fail(CNI_TRY_AGAIN, "the agent of Sluice took too long", "");
	return without_agent(&request, "it ended before it answered");
}
