/* SPDX-License-Identifier: Apache-2.0 */
/* A host of the plugin without FreeRDP, which tells what the process is like. It
 * takes commands from its standard input and answers each on its standard
 * output, with lines that end in one of a dot:
 *
 *   look            what the process is like, one fact in a line
 *   load LIBRARY    load the plugin
 *   start WORD...   begin a session; its options
 *   open S NAME     open a channel of session S, which gets the next number
 *   send C HEX      deliver a message on channel C
 *   wait C          wait for a message on channel C
 *   close C         close channel C
 *   end S           end session S
 *   fill            how many descriptors can be opened
 *
 * HOST_SIGPIPE says what it does of SIGPIPE: ignore, handle or default. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>

#include <freerdp/dvc.h>
#include <winpr/stream.h>

extern char** environ;

static void fail(const char* what)
{
	fprintf(stderr, "guest: %s: %s\n", what, strerror(errno));
	exit(2);
}

/* ------------------------------------------------------ what it is like -- */

static void handler(int signal)
{
	(void)signal;
}

static void print_set(const char* name, const sigset_t* set)
{
	printf("%s", name);
	for (int i = 1; i < NSIG; i++)
		if (sigismember(set, i) == 1)
			printf(" %d", i);
	printf("\n");
}

static void look_signals(void)
{
	sigset_t mask;
	stack_t stack;

	for (int i = 1; i < NSIG; i++)
	{
		struct sigaction action;
		const char* what = "other";
		char name[64];

		if (sigaction(i, NULL, &action) != 0)
			continue;
		if (action.sa_handler == SIG_DFL)
			what = "default";
		else if (action.sa_handler == SIG_IGN)
			what = "ignored";
		else if (action.sa_handler == handler)
			what = "host";
		printf("signal.%d.handler %s\n", i, what);
		printf("signal.%d.flags %#x\n", i, action.sa_flags & ~SA_ONSTACK);
		printf("signal.%d.onstack %d\n", i, (action.sa_flags & SA_ONSTACK) != 0);
		(void)snprintf(name, sizeof(name), "signal.%d.mask", i);
		print_set(name, &action.sa_mask);
	}
	if (pthread_sigmask(SIG_SETMASK, NULL, &mask) != 0)
		fail("pthread_sigmask");
	print_set("thread.mask", &mask);
	if (sigaltstack(NULL, &stack) != 0)
		fail("sigaltstack");
	printf("thread.altstack %d\n", (stack.ss_flags & SS_DISABLE) == 0);
}

static void look_limits(void)
{
	for (int i = 0; i < RLIM_NLIMITS; i++)
	{
		struct rlimit limit;

		if (getrlimit(i, &limit) == 0)
			printf("limit.%d %llu %llu\n", i, (unsigned long long)limit.rlim_cur,
			       (unsigned long long)limit.rlim_max);
	}
}

/* Of each thread, whether it blocks what the host does. */
static void look_threads(void)
{
	DIR* dir = opendir("/proc/self/task");
	struct dirent* entry;
	int all = 1;

	if (!dir)
		fail("/proc/self/task");
	while ((entry = readdir(dir)))
	{
		char path[300];
		char line[256];
		FILE* file;

		(void)snprintf(path, sizeof(path), "/proc/self/task/%s/status", entry->d_name);
		if (entry->d_name[0] == '.' || !(file = fopen(path, "r")))
			continue;
		while (fgets(line, sizeof(line), file))
		{
			unsigned long long blocked;

			if (sscanf(line, "SigBlk: %llx", &blocked) == 1 && !(blocked & (1ULL << (SIGUSR2 - 1))))
				all = 0;
		}
		(void)fclose(file);
	}
	(void)closedir(dir);
	printf("threads.block %d\n", all);
}

static void look_descriptors(void)
{
	DIR* dir = opendir("/proc/self/fd");
	struct dirent* entry;

	if (!dir)
		fail("/proc/self/fd");
	while ((entry = readdir(dir)))
	{
		char path[300];
		char target[256];
		int fd = atoi(entry->d_name);
		ssize_t n;

		(void)snprintf(path, sizeof(path), "/proc/self/fd/%s", entry->d_name);
		n = readlink(path, target, sizeof(target) - 1);
		if (n < 0 || fd == dirfd(dir))
			continue;
		target[n] = 0;
		printf("fd.%d %s %s\n", fd, target,
		       fcntl(fd, F_GETFD) & FD_CLOEXEC ? "close-on-exec" : "inherited");
	}
	(void)closedir(dir);
}

static void look(void)
{
	char buffer[4096];
	char name[17] = { 0 };
	struct itimerval timer;
	mode_t mask = umask(0);

	(void)umask(mask);
	look_signals();
	look_limits();
	look_threads();
	look_descriptors();
	printf("umask %#o\n", (unsigned)mask);
	printf("locale %s\n", setlocale(LC_ALL, NULL));
	if (!getcwd(buffer, sizeof(buffer)))
		fail("getcwd");
	printf("cwd %s\n", buffer);
	for (char** e = environ; *e; e++)
	{
		const char* value = strchr(*e, '=');

		printf("env.%.*s %s\n", (int)(value - *e), *e, value);
	}
	printf("user %d %d %d %d\n", (int)getuid(), (int)geteuid(), (int)getgid(), (int)getegid());
	printf("group %d %d\n", (int)getpgrp(), (int)getsid(0));
	printf("nice %d\n", getpriority(PRIO_PROCESS, 0));
	printf("dumpable %d\n", prctl(PR_GET_DUMPABLE));
	(void)prctl(PR_GET_NAME, name);
	printf("name %s\n", name);
	for (int i = ITIMER_REAL; i <= ITIMER_PROF; i++)
		if (getitimer(i, &timer) == 0)
			printf("timer.%d %d\n", i, timer.it_value.tv_sec || timer.it_value.tv_usec);
}

static void handle(int signal, void (*how)(int), int flags)
{
	struct sigaction action = { .sa_handler = how, .sa_flags = flags };

	sigaddset(&action.sa_mask, SIGHUP);
	if (sigaction(signal, &action, NULL) != 0)
		fail("sigaction");
}

/* Unlike what a process begins with, so that a change is seen. */
static void set_up(void)
{
	const char* pipe = getenv("HOST_SIGPIPE");
	struct rlimit files;
	sigset_t block;

	handle(SIGTERM, handler, 0);
	handle(SIGUSR1, handler, SA_RESTART);
	handle(SIGCHLD, handler, SA_NOCLDSTOP);
	handle(SIGTTOU, SIG_IGN, 0);
	handle(SIGRTMIN + 1, handler, SA_SIGINFO);
	if (pipe && strcmp(pipe, "ignore") == 0)
		handle(SIGPIPE, SIG_IGN, 0);
	else if (pipe && strcmp(pipe, "handle") == 0)
		handle(SIGPIPE, handler, 0);
	sigfillset(&block);
	sigdelset(&block, SIGSEGV);
	sigdelset(&block, SIGBUS);
	sigdelset(&block, SIGFPE);
	if (pthread_sigmask(SIG_BLOCK, &block, NULL) != 0)
		fail("pthread_sigmask");
	if (getrlimit(RLIMIT_NOFILE, &files) != 0)
		fail("getrlimit");
	files.rlim_cur = 1024;
	if (setrlimit(RLIMIT_NOFILE, &files) != 0)
		fail("setrlimit");
	(void)umask(027);
	if (!setlocale(LC_ALL, "C.UTF-8"))
		fail("setlocale");
}

/* -------------------------------------------------------- FreeRDP's side -- */

static UINT(VCAPITYPE* plugin_entry)(IDRDYNVC_ENTRY_POINTS*);

static struct session
{
	IWTSPlugin* plugin;
	IWTSListenerCallback* listeners[2];
	int listener_count;
	ADDIN_ARGV args;
	char* words[16];
} sessions[4], *starting;

static struct channel
{
	IWTSVirtualChannel iface;
	IWTSVirtualChannelCallback* callback;
	struct
	{
		BYTE* data;
		ULONG size;
	} messages[64];
	int written, taken;
} channels[2048];
static int session_count, channel_count;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t came = PTHREAD_COND_INITIALIZER;

static UINT channel_write(IWTSVirtualChannel* iface, ULONG size, const BYTE* data, void* reserved)
{
	struct channel* channel = (struct channel*)iface;
	BYTE* copy = malloc(size);

	(void)reserved;
	if (!copy || channel->written == 64)
		abort();
	memcpy(copy, data, size);
	pthread_mutex_lock(&lock);
	channel->messages[channel->written].data = copy;
	channel->messages[channel->written++].size = size;
	pthread_cond_broadcast(&came);
	pthread_mutex_unlock(&lock);
	return CHANNEL_RC_OK;
}

static UINT create_listener(IWTSVirtualChannelManager* manager, const char* name, ULONG flags,
                            IWTSListenerCallback* callback, IWTSListener** listener)
{
	(void)manager;
	(void)flags;
	(void)listener;
	starting->listeners[strcmp(name, "PNPDR") != 0] = callback;
	starting->listener_count++;
	return CHANNEL_RC_OK;
}

static UINT register_plugin(IDRDYNVC_ENTRY_POINTS* entry, const char* name, IWTSPlugin* plugin)
{
	(void)entry;
	(void)name;
	starting->plugin = plugin;
	return CHANNEL_RC_OK;
}

static IWTSPlugin* get_plugin(IDRDYNVC_ENTRY_POINTS* entry, const char* name)
{
	(void)entry;
	(void)name;
	return NULL;
}

static void* plugin_data(IDRDYNVC_ENTRY_POINTS* entry)
{
	(void)entry;
	return &starting->args;
}

static void* settings(IDRDYNVC_ENTRY_POINTS* entry)
{
	(void)entry;
	return NULL;
}

static void load(const char* library)
{
	void* handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);

	if (!handle)
	{
		fprintf(stderr, "guest: %s\n", dlerror());
		exit(2);
	}
	*(void**)&plugin_entry = dlsym(handle, "DVCPluginEntry");
	if (!plugin_entry)
		fail("DVCPluginEntry");
}

static void start(char* words)
{
	void* entry[] = { (void*)register_plugin, (void*)get_plugin, (void*)plugin_data,
		              (void*)settings };
	IWTSVirtualChannelManager manager = { 0 };

	starting = &sessions[session_count++];
	starting->words[starting->args.argc++] = strdup("pnpdr");
	for (char* word = strtok(words, " "); word; word = strtok(NULL, " "))
		starting->words[starting->args.argc++] = strdup(word);
	starting->args.argv = starting->words;
	if (plugin_entry((IDRDYNVC_ENTRY_POINTS*)entry) != CHANNEL_RC_OK || !starting->plugin)
		fail("DVCPluginEntry");
	manager.CreateListener = create_listener;
	if (starting->plugin->Initialize(starting->plugin, &manager) != CHANNEL_RC_OK ||
	    starting->listener_count != 2)
		fail("Initialize");
}

static void open_channel(struct session* session, const char* name)
{
	IWTSListenerCallback* listener = session->listeners[strcmp(name, "PNPDR") != 0];
	struct channel* channel = &channels[channel_count++];
	BOOL accept = TRUE;

	channel->iface.Write = channel_write;
	if (listener->OnNewChannelConnection(listener, &channel->iface, NULL, &accept,
	                                     &channel->callback) != CHANNEL_RC_OK ||
	    !accept)
		fail("OnNewChannelConnection");
}

static void send_message(struct channel* channel, const char* hex)
{
	size_t size = strlen(hex) / 2;
	BYTE* data = malloc(size);
	wStream stream = { 0 };

	for (size_t i = 0; i < size; i++)
		(void)sscanf(hex + 2 * i, "%2hhx", &data[i]);
	stream.buffer = stream.pointer = data;
	stream.length = stream.capacity = size;
	if (channel->callback->OnDataReceived(channel->callback, &stream) != CHANNEL_RC_OK)
		fail("OnDataReceived");
	free(data);
}

static void wait_message(struct channel* channel)
{
	pthread_mutex_lock(&lock);
	while (channel->taken == channel->written)
		pthread_cond_wait(&came, &lock);
	for (ULONG i = 0; i < channel->messages[channel->taken].size; i++)
		printf("%02x", channel->messages[channel->taken].data[i]);
	printf("\n");
	free(channel->messages[channel->taken++].data);
	pthread_mutex_unlock(&lock);
}

static void fill(void)
{
	static int opened[4096];
	int n = 0;

	while (n < 4096 && (opened[n] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
		n++;
	printf("%d\n", n);
	while (n > 0)
		(void)close(opened[--n]);
}

/* Threads of the host have masks of their own. */
static void* idle(void* unused)
{
	(void)unused;
	for (;;)
		(void)pause();
	return NULL;
}

int main(void)
{
	static char line[1 << 16];
	pthread_t thread;

	set_up();
	if (pthread_create(&thread, NULL, idle, NULL) != 0)
		fail("pthread_create");
	while (fgets(line, sizeof(line), stdin))
	{
		char* command = strtok(line, " \n");
		char* rest = strtok(NULL, "\n");
		int number = rest ? atoi(rest) : 0;
		char* last = rest ? strchr(rest, ' ') : NULL;

		if (!command)
			continue;
		if (strcmp(command, "look") == 0)
			look();
		else if (strcmp(command, "load") == 0)
			load(rest);
		else if (strcmp(command, "start") == 0)
			start(rest);
		else if (strcmp(command, "open") == 0)
			open_channel(&sessions[number], last + 1);
		else if (strcmp(command, "send") == 0)
			send_message(&channels[number], last + 1);
		else if (strcmp(command, "wait") == 0)
			wait_message(&channels[number]);
		else if (strcmp(command, "close") == 0)
			channels[number].callback->OnClose(channels[number].callback);
		else if (strcmp(command, "end") == 0)
			sessions[number].plugin->Terminated(sessions[number].plugin);
		else if (strcmp(command, "fill") == 0)
			fill();
		else
			fail(command);
		printf(".\n");
		if (fflush(stdout) != 0)
			return 2;
	}
	return 0;
}
