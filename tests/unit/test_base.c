/* test_base.c - memory, sanitized text, messages, mapped files, and atomically written files. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/out_file.h"
#include "base/plain.h"
#include "base/sys.h"
#include "test.h"

static char folder[] = "/tmp/rwkv7-test-base-XXXXXX";

static const char *in_folder(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* --------------------------------------------------------------------------------------- memory */

static void test_sizes(void)
{
    size_t n = 0;
    CHECK(size_mul(1 << 20, 1 << 20, &n) && n == (size_t)1 << 40);
    CHECK(!size_mul(SIZE_MAX / 2, 3, &n));
    CHECK(size_mul(SIZE_MAX, 0, &n) && n == 0);
    CHECK(size_add(1, 2, &n) && n == 3);
    CHECK(!size_add(SIZE_MAX, 1, &n));
    CHECK(mem_alloc(SIZE_MAX / 2, 3) == NULL);
    CHECK(mem_alloc(SIZE_MAX - 10, 1) == NULL);
    CHECK(mem_alloc(SIZE_MAX - 100, 1) == NULL); /* rounding up would overflow */
    void *nothing = mem_alloc(0, 8);
    CHECK(nothing != NULL);
    mem_free(nothing);
    unsigned char *p = mem_alloc(100, 3);
    CHECK((uintptr_t)p % MEM_ALIGN == 0);
    int sum = 0;
    for (int i = 0; i < 300; i++)
        sum += p[i];
    CHECK(sum == 0);
    memset(p, 1, 300);
    p = mem_grow(p, 100, 200, 3);
    sum = 0;
    for (int i = 0; i < 600; i++)
        sum += p[i];
    CHECK(sum == 300);
    mem_free(p);
    char *s = mem_string("abcdef", 3);
    CHECK_STR(s, "abc");
    mem_free(s);
}

/* Text from files, sanitized for a terminal. */
static void test_plain_text(void)
{
    static const char *const cases[][2] = {
        {"plain \xc3\xa9 \xe4\xb8\xad", "plain \xc3\xa9 \xe4\xb8\xad"},
        {"\x1b[31m\r\n", "?[31m??"},
        {"\xc2\x9b"
         "31m",
         "??31m"},
        {"\xff", "?"},
        {"gpj.\xe2\x80\xae"
         "exe",
         "gpj.???exe"}, /* U+202E: right-to-left override */
        {"\xe2\x81\xa6\xe2\x81\xa9", "??????"},
        {"\xe2\x80\x8e\xd8\x9c", "?????"},
        {"\xe2\x80\xa8\xe2\x80\xa9", "??????"},
        {"\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x94\xac",
         "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x94\xac"}, /* joiners are allowed */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[64];
        snprintf(text, sizeof text, "%s", cases[i][0]);
        rwkv7_text_plain(text);
        CHECK_STR(text, cases[i][1]);
    }
}

/* The same text as escapes, one character at a time, with and without the end of the text. */
static void test_plain_character(void)
{
    static const struct {
        const char *text;
        size_t size, length; /* length: if more bytes may follow */
        const char *escape;
    } cases[] = {
        {"ab", 2, 1, ""},
        {"\0", 1, 1, "\\x00"},
        {"\x1b[", 2, 1, "\\x1b"},
        {"\x7f", 1, 1, "\\x7f"},
        {"\n", 1, 1, "\\n"},
        {"\xc3\xa9x", 3, 2, ""},
        {"\xc2\x9b", 2, 2, "\\u009b"},
        {"\xe2\x80\xae", 3, 3, "\\u202e"},
        {"\xf0\x9f\x91\xa9", 4, 4, ""},
        {"\xf0\x9f\x91", 3, 0, ""},
        {"\xe2\x82", 2, 0, ""},
        {"\xc2", 1, 0, ""},
        {"\xe2\x82x", 3, 1, "\\xe2"}, /* cannot become a valid character */
        {"\xc0\x9b", 2, 1, "\\xc0"},
        {"\x9b", 1, 1, "\\x9b"},
        {"\xff", 1, 1, "\\xff"},
        {"\xed\xa0\x80", 3, 1, "\\xed"}, /* half of a surrogate pair */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char escape[PLAIN_ESCAPE], torn[PLAIN_ESCAPE];
        CHECK(plain_character(cases[i].text, cases[i].size, false, escape) == cases[i].length);
        CHECK_STR(escape, cases[i].escape);
        snprintf(torn, sizeof torn, "\\x%02x", (unsigned)(unsigned char)cases[i].text[0]);
        const size_t rest = plain_character(cases[i].text, cases[i].size, true, escape);
        CHECK(rest == (cases[i].length > 0 ? cases[i].length : 1));
        CHECK_STR(escape, cases[i].length > 0 ? cases[i].escape : torn);
    }
}

static void test_messages(void)
{
    struct rwkv7_error err;
    CHECK(fail(&err, RWKV7_ERR_MODEL, "%s: bad\n\x1b[31m", "file") == RWKV7_ERR_MODEL);
    CHECK_STR(err.message, "file: bad??[31m");
    fail(&err, RWKV7_ERR_MODEL, "next line \xc2\x85, accent \xc3\xa9");
    CHECK_STR(err.message, "next line ??, accent \xc3\xa9");
    fail(&err, RWKV7_ERR_MODEL,
         "escape \x9b"
         "31m, \xc2\x9b"
         "31m, torn \xe2\x82, too long \xc0\x9b");
    CHECK_STR(err.message, "escape ?31m, ??31m, torn ??, too long ??");
    fail_where(&err, "%s:%d: ", "fi\xc2\x9cle", 3);
    CHECK_STR(err.message, "fi??le:3: escape ?31m, ??31m, torn ??, too long ??");
    CHECK(err.status == RWKV7_ERR_MODEL);
    fail_where(NULL, "nobody listens");
    CHECK(fail(NULL, RWKV7_ERR_IO, "nobody listens") == RWKV7_ERR_IO);
    char longer[1000];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    memcpy(longer + 253, "\xe2\x82\xac", 3); /* a character at the truncation point */
    fail(&err, RWKV7_ERR_IO, "%s", longer);
    CHECK(strlen(err.message) == 253 && err.message[252] == 'x');
    fail_where(&err, "before: ");
    CHECK(strlen(err.message) == 255 && strncmp(err.message, "before: xxx", 11) == 0);

    /* The path before ": " is shortened from its beginning, at a character boundary. */
    longer[253] = '\0';
    memcpy(longer + 38, "\xe2\x82\xac", 3);
    fail(&err, RWKV7_ERR_MODEL, "%s: %s", longer, "tensor 'emb.weight': expected 2 axes");
    CHECK_MSG(strlen(err.message) == 253 && strncmp(err.message, "...xxx", 6) == 0, "%s", err.message);
    CHECK(strstr(err.message, "xxx: tensor 'emb.weight': expected 2 axes"));
    fail(&err, RWKV7_ERR_MODEL, "line");
    fail_where(&err, "%s:7: ", longer);
    CHECK(strncmp(err.message, "...", 3) == 0 && strstr(err.message, "xxx:7: line"));
    errno = ENOENT;
    fail_errno(&err, "%s", longer);
    CHECK(strstr(err.message, "xxx: No such file"));
    fail(&err, RWKV7_ERR_MODEL, "%s: %s", longer, longer); /* both are too long: 40 bytes of the path remain */
    CHECK(strlen(err.message) == 255 && strncmp(err.message + 43, ": xxx", 5) == 0);
}

/* ---------------------------------------------------------------------------------------- files */

static void test_mapping(void)
{
    struct file_map map;
    struct rwkv7_error err;
    CHECK(file_map_open(in_folder("absent"), &map, &err) == RWKV7_ERR_IO);
    CHECK(strstr(err.message, "No such file") != NULL && strstr(err.message, "absent") != NULL);
    CHECK(file_map_open(folder, &map, &err) == RWKV7_ERR_IO);
    CHECK(strstr(err.message, "found a folder") != NULL);
    CHECK(file_map_open("/dev/null", &map, &err) == RWKV7_ERR_IO);
    CHECK(strstr(err.message, "found a character device") != NULL);
    const char *fifo = in_folder("fifo");
    CHECK(mkfifo(fifo, 0600) == 0);
    CHECK(file_map_open(fifo, &map, &err) == RWKV7_ERR_IO); /* fails without waiting for a writer */
    CHECK(strstr(err.message, "found a pipe") != NULL);
    unlink(fifo);

    const char *empty = in_folder("empty");
    fclose(fopen(empty, "wb"));
    CHECK(file_map_open(empty, &map, &err) == RWKV7_OK && map.size == 0);
    file_map_close(&map);
    unlink(empty);
}

static int entries(void)
{
    char command[300];
    int n = -1;
    snprintf(command, sizeof command, "ls -A %s | wc -l", folder);
    FILE *f = popen(command, "r");
    if (!f || fscanf(f, "%d", &n) != 1)
        n = -1;
    if (f)
        pclose(f);
    return n;
}

static void check_content(const char *path, const char *want)
{
    char got[64] = "";
    FILE *f = fopen(path, "rb");
    CHECK(f != NULL);
    if (!f)
        return;
    const size_t n = fread(got, 1, sizeof got - 1, f);
    got[n] = '\0';
    fclose(f);
    CHECK_STR(got, want);
}

/* Replaces libc's function: counts synced folders, or fails for them. */
static int folders_synced, folder_error;

int fsync(int fd)
{
    struct stat st;
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        folders_synced++;
        if (folder_error != 0) {
            errno = folder_error;
            return -1;
        }
    }
    return (int)syscall(SYS_fsync, fd);
}

/* A new name is durable only after its folder was synced. */
static void test_folder_synced(void)
{
    static const struct {
        int error;
        enum rwkv7_status status;
    } cases[] = {{0, RWKV7_OK}, {EINVAL, RWKV7_OK}, {EIO, RWKV7_ERR_IO}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct out_file out;
        struct rwkv7_error err = {0};
        folders_synced = 0;
        folder_error = cases[i].error;
        CHECK(out_file_open(in_folder("synced"), &out, &err) == RWKV7_OK);
        CHECK(out_file_write(&out, "x", 1, &err) == RWKV7_OK && folders_synced == 0);
        CHECK_MSG(out_file_commit(&out, &err) == cases[i].status, "%s", err.message);
        CHECK(folders_synced == 1 && access(in_folder("synced"), R_OK) == 0);
        CHECK((strstr(err.message, "its folder cannot be synced") != NULL) == (cases[i].status != RWKV7_OK));
        unlink(in_folder("synced"));
    }
    folder_error = 0;
}

static void test_atomic_files(void)
{
    struct out_file out;
    struct rwkv7_error err;
    char path[256];
    snprintf(path, sizeof path, "%s", in_folder("result"));

    CHECK(out_file_open(path, &out, &err) == RWKV7_OK);
    CHECK(out_file_write(&out, "first", strlen("first"), &err) == RWKV7_OK);
    CHECK(!path_exists(path));
    CHECK(out_file_commit(&out, &err) == RWKV7_OK);
    check_content(path, "first");

    CHECK(chmod(path, 0640) == 0);
    CHECK(out_file_open(path, &out, &err) == RWKV7_OK);
    CHECK(out_file_write(&out, "second", strlen("second"), &err) == RWKV7_OK);
    check_content(path, "first");
    out_file_abort(&out);
    check_content(path, "first");
    CHECK(entries() == 1);

    CHECK(out_file_open(path, &out, &err) == RWKV7_OK);
    CHECK(out_file_write(&out, "third", strlen("third"), &err) == RWKV7_OK);
    CHECK(out_file_commit(&out, &err) == RWKV7_OK);
    check_content(path, "third");
    struct stat st;
    CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0640);
    CHECK(entries() == 1);
    unlink(path);

    /* A symbolic link is kept and its target replaced. A dangling link is rejected. */
    char link[256];
    snprintf(link, sizeof link, "%s", in_folder("link"));
    CHECK(symlink("result", link) == 0);
    CHECK(out_file_open(link, &out, &err) == RWKV7_ERR_IO);
    fclose(fopen(path, "wb"));
    CHECK(out_file_open(link, &out, &err) == RWKV7_OK);
    CHECK(out_file_write(&out, "fourth", strlen("fourth"), &err) == RWKV7_OK);
    CHECK(out_file_commit(&out, &err) == RWKV7_OK);
    CHECK(lstat(link, &st) == 0 && S_ISLNK(st.st_mode));
    CHECK(lstat(path, &st) == 0 && S_ISREG(st.st_mode));
    check_content(path, "fourth");
    CHECK(entries() == 2);
    unlink(link);

    /* An open descriptor given by name is written at its current position, not replaced. */
    FILE *const f = fopen(path, "wb");
    char name[32];
    fputs("before ", f);
    fflush(f);
    snprintf(name, sizeof name, "/dev/fd/%d", fileno(f));
    CHECK(out_file_open(name, &out, &err) == RWKV7_OK);
    CHECK(out_file_write(&out, "after", strlen("after"), &err) == RWKV7_OK);
    CHECK(out_file_commit(&out, &err) == RWKV7_OK);
    fclose(f);
    check_content(path, "before after");
    unlink(path);

    /*
     * Permissions of a new file follow the umask, without special bits; the umask does not change.
     */
    const mode_t mask = umask(027);
    CHECK(out_file_open(path, &out, &err) == RWKV7_OK);
    CHECK(out_file_commit(&out, &err) == RWKV7_OK);
    CHECK(stat(path, &st) == 0 && (st.st_mode & 07777) == 0640);
    CHECK(chmod(path, 04755) == 0);
    CHECK(out_file_open(path, &out, &err) == RWKV7_OK);
    CHECK(out_file_commit(&out, &err) == RWKV7_OK);
    CHECK(stat(path, &st) == 0 && (st.st_mode & 07777) == 0755);
    CHECK(out_file_open_private(path, &out, &err) == RWKV7_OK);
    CHECK(out_file_commit(&out, &err) == RWKV7_OK);
    CHECK(stat(path, &st) == 0 && (st.st_mode & 07777) == 0700);
    CHECK(umask(mask) == 027);
    if (geteuid() != 0) {
        CHECK(chmod(path, 0444) == 0);
        CHECK(out_file_open(path, &out, &err) == RWKV7_ERR_IO);
    }
    unlink(path);
    CHECK(entries() == 0);

    CHECK(out_file_open("", &out, &err) == RWKV7_ERR_IO);
    CHECK(out_file_open(in_folder("no/such/place"), &out, &err) == RWKV7_ERR_IO);
    CHECK(out_file_open(folder, &out, &err) == RWKV7_ERR_IO);
    CHECK(strstr(err.message, "directory") != NULL);
    if (path_exists("/dev/full")) {
        CHECK(out_file_open("/dev/full", &out, &err) == RWKV7_OK);
        CHECK(out_file_write(&out, "no room", strlen("no room"), &err) == RWKV7_OK);
        CHECK(out_file_commit(&out, &err) == RWKV7_ERR_IO);
        CHECK(strstr(err.message, "No space left") != NULL);
    } else {
        SKIP("a full disk: this system has no /dev/full");
    }
}

int main(void)
{
    if (!mkdtemp(folder))
        return 1;
    RUN(test_sizes);
    RUN(test_plain_text);
    RUN(test_plain_character);
    RUN(test_messages);
    RUN(test_mapping);
    RUN(test_folder_synced);
    RUN(test_atomic_files);
    rmdir(folder);
    return test_end();
}
