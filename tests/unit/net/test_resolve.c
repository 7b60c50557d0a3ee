/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Names to addresses, and back, on a real loop: literals, the hosts file, and a DNS server of this test's own.
 */
#define _GNU_SOURCE
#include "net/resolve.h"

#include <arpa/inet.h>
#include <check.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct fixture {
    kb_mem mem;
    kn_loop *loop;
    kn_resolver *resolver;
    kn_lookup lookup;
    kn_naming naming;
    const char *ptr;    /**< the name it gives every address; NULL: none */
    char question[128]; /**< of the last packet, with dots */
    int done;
    bool in_call;
    int server; /**< UDP */
    char server_text[32];
    int asked;
    int answers_a, answers_aaaa; /**< records of each kind it gives */
    uint8_t rcode;
    bool is_silent;
} fixture;

static void on_done(kn_lookup *lookup)
{
    fixture *f = lookup->user;
    ck_assert(!f->in_call);
    f->done++;
}

static void on_named(kn_naming *naming)
{
    fixture *f = naming->user;
    ck_assert(!f->in_call);
    f->done++;
}

static void init(fixture *f)
{
    kc_error error;
    memset(f, 0, sizeof *f);
    kb_mem_init(&f->mem, NULL, 0);
    ck_assert_int_eq(kn_loop_new(&f->mem, &f->loop, &error), KC_OK);
    ck_assert_int_eq(kn_resolver_new(&f->mem, f->loop, &f->resolver), KC_OK);
    f->lookup.done = on_done;
    f->lookup.user = f;
    f->naming.done = on_named;
    f->naming.user = f;
    f->server = -1;
}

static void init_server(fixture *f)
{
    init(f);
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    f->server = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(f->server, 0);
    ck_assert_int_eq(bind(f->server, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(getsockname(f->server, (struct sockaddr *)&address, &len), 0);
    snprintf(f->server_text, sizeof f->server_text, "127.0.0.1:%u", ntohs(address.sin_port));
    kn_resolver_use_server(f->resolver, f->server_text);
    f->answers_a = 1;
}

static void cleanup(fixture *f)
{
    kn_resolver_free(f->resolver);
    kn_loop_free(f->loop);
    if (f->server >= 0)
        close(f->server);
    ck_assert_uint_eq(f->mem.used, 0);
}

static void start(fixture *f, kc_bytes host)
{
    f->lookup.host = host;
    f->lookup.port = 9092;
    f->in_call = true;
    kn_resolver_start(f->resolver, &f->lookup);
    f->in_call = false;
}

static void start_name(fixture *f, const char *literal)
{
    ck_assert(kn_address_parse(kc_str(literal), 9092, &f->naming.address));
    f->in_call = true;
    kn_resolver_name(f->resolver, &f->naming);
    f->in_call = false;
}

/** A PTR record with the text's labels. */
static size_t put_ptr(uint8_t *at, const char *text)
{
    const uint8_t head[10] = {0xc0, 12, 0, 12, 0, 1, 0, 0, 0, 60};
    memcpy(at, head, sizeof head);
    size_t len = 12;
    for (const char *label = text; *label;) {
        size_t label_len = strcspn(label, ".");
        at[len++] = (uint8_t)label_len;
        memcpy(at + len, label, label_len);
        len += label_len;
        label += label_len + (label[label_len] == '.');
    }
    at[len++] = 0;
    at[10] = 0;
    at[11] = (uint8_t)(len - 12);
    return len;
}

static size_t put_records(uint8_t *at, int count, uint16_t type)
{
    size_t len = 0;
    for (int i = 0; i < count; i++) {
        size_t data_len = type == 1 ? 4 : 16;
        const uint8_t head[12] = {0xc0, 12, 0, (uint8_t)type,    0, 1, 0, 0,
                                  0,    60, 0, (uint8_t)data_len};
        memcpy(at + len, head, sizeof head);
        memset(at + len + 12, 0, data_len);
        at[len + 12] = type == 1 ? 10 : 0xfd;
        at[len + 12 + data_len - 1] = (uint8_t)(i + 1);
        len += 12 + data_len;
    }
    return len;
}

static void serve(fixture *f)
{
    uint8_t packet[4096];
    struct sockaddr_storage from;
    socklen_t from_len = sizeof from;
    ssize_t got = recvfrom(f->server, packet, 512, 0, (struct sockaddr *)&from, &from_len);
    ck_assert_int_gt(got, 16);
    f->asked++;
    if (f->is_silent)
        return;
    size_t len = 12;
    f->question[0] = 0;
    while (packet[len] != 0) {
        size_t used = strlen(f->question);
        snprintf(f->question + used, sizeof f->question - used, "%.*s.", packet[len],
                 (const char *)packet + len + 1);
        len += 1u + packet[len];
    }
    uint16_t type = (uint16_t)(packet[len + 1] << 8 | packet[len + 2]);
    len += 5;
    int count = type == 1 ? f->answers_a : type == 28 ? f->answers_aaaa : 0;
    bool has_ptr = type == 12 && f->ptr;
    packet[2] = 0x81;
    packet[3] = (uint8_t)(0x80 | f->rcode);
    packet[6] = 0;
    packet[7] = (uint8_t)(has_ptr ? 1 : count);
    memset(packet + 8, 0, 4); // no additional records in the answer
    len += has_ptr ? put_ptr(packet + len, f->ptr) : put_records(packet + len, count, type);
    ck_assert_int_eq(sendto(f->server, packet, len, 0, (struct sockaddr *)&from, from_len),
                     (ssize_t)len);
}

/** Serve DNS and the loop until the look-up is done, as a program with its own poll() does. */
static void wait_done(fixture *f, int done)
{
    struct pollfd fds[2] = {{kn_loop_fd(f->loop), POLLIN, 0}, {f->server, POLLIN, 0}};
    while (f->done < done) {
        ck_assert_int_gt(poll(fds, f->server >= 0 ? 2 : 1, 30000), 0);
        if (f->server >= 0 && fds[1].revents)
            serve(f);
        ck_assert_int_eq(kn_loop_turn(f->loop, 0, NULL), KC_OK);
    }
    ck_assert_int_eq(f->done, done);
}

static size_t open_fds(void)
{
    size_t count = 0;
    for (int fd = 0; fd < 256; fd++) {
        struct sockaddr_storage name;
        socklen_t len = sizeof name;
        count += getsockname(fd, (struct sockaddr *)&name, &len) == 0;
    }
    return count;
}

START_TEST(a_literal_is_its_own_answer_and_nobody_is_asked)
{
    fixture f;
    init_server(&f);
    start(&f, KC_STR("127.0.0.1"));
    wait_done(&f, 1);
    ck_assert_int_eq(f.lookup.err, KC_OK);
    ck_assert_uint_eq(f.lookup.count, 1);
    ck_assert_uint_eq(f.lookup.addresses[0].port, 9092);
    start(&f, KC_STR("::1"));
    wait_done(&f, 2);
    ck_assert(f.lookup.addresses[0].is_v6);
    ck_assert_int_eq(f.asked, 0);
    cleanup(&f);
}
END_TEST

START_TEST(localhost_comes_from_the_hosts_file)
{
    fixture f;
    init_server(&f);
    start(&f, KC_STR("localhost"));
    wait_done(&f, 1);
    ck_assert_int_eq(f.lookup.err, KC_OK);
    ck_assert_uint_ge(f.lookup.count, 1);
    bool has_loopback = false;
    for (size_t i = 0; i < f.lookup.count; i++) {
        const kn_address *address = &f.lookup.addresses[i];
        has_loopback |= address->is_v6 ? address->ip[15] == 1 : address->ip[0] == 127;
        ck_assert_uint_eq(address->port, 9092);
    }
    ck_assert(has_loopback);
    ck_assert_int_eq(f.asked, 0);
    cleanup(&f);
}
END_TEST

START_TEST(a_name_is_asked_of_dns_and_all_its_addresses_come_back)
{
    fixture f;
    init_server(&f);
    f.answers_a = 3;
    f.answers_aaaa = 2;
    start(&f, KC_STR("broker.example.test"));
    wait_done(&f, 1);
    ck_assert_int_eq(f.lookup.err, KC_OK);
    ck_assert_uint_eq(f.lookup.count, 5);
    int v6 = 0;
    for (size_t i = 0; i < 5; i++)
        v6 += f.lookup.addresses[i].is_v6;
    ck_assert_int_eq(v6, 2);
    ck_assert_int_ge(f.asked, 2);
    cleanup(&f);
}
END_TEST

START_TEST(each_look_up_asks_anew)
{
    fixture f;
    init_server(&f);
    start(&f, KC_STR("moving.example.test"));
    wait_done(&f, 1);
    ck_assert_uint_eq(f.lookup.count, 1);
    int asked = f.asked;
    f.answers_a = 2;
    start(&f, KC_STR("moving.example.test"));
    wait_done(&f, 2);
    ck_assert_uint_eq(f.lookup.count, 2);
    ck_assert_int_gt(f.asked, asked);
    cleanup(&f);
}
END_TEST

START_TEST(more_addresses_than_we_try_are_cut_off)
{
    fixture f;
    init_server(&f);
    f.answers_a = 24;
    start(&f, KC_STR("many.example.test"));
    wait_done(&f, 1);
    ck_assert_uint_eq(f.lookup.count, KN_ADDRESSES_MAX);
    cleanup(&f);
}
END_TEST

START_TEST(an_unknown_name_is_an_error_that_says_why)
{
    fixture f;
    init_server(&f);
    f.answers_a = 0;
    f.rcode = 3;
    start(&f, KC_STR("nowhere.example.test"));
    wait_done(&f, 1);
    ck_assert_int_eq(f.lookup.err, KC_ERR_RESOLVE);
    ck_assert_ptr_nonnull(strstr(f.lookup.reason, "not found"));
    ck_assert_uint_eq(f.lookup.count, 0);
    cleanup(&f);
}
END_TEST

START_TEST(a_name_without_addresses_is_an_error)
{
    fixture f;
    init_server(&f);
    f.answers_a = 0;
    start(&f, KC_STR("empty.example.test"));
    wait_done(&f, 1);
    ck_assert_int_eq(f.lookup.err, KC_ERR_RESOLVE);
    ck_assert_ptr_nonnull(f.lookup.reason);
    cleanup(&f);
}
END_TEST

START_TEST(what_is_no_host_name_is_refused_without_asking)
{
    fixture f;
    init_server(&f);
    char text[300];
    memset(text, 'a', sizeof text);
    start(&f, kc_span(text, sizeof text));
    wait_done(&f, 1);
    ck_assert_int_eq(f.lookup.err, KC_ERR_RESOLVE);
    start(&f, KC_STR(""));
    wait_done(&f, 2);
    ck_assert_int_eq(f.lookup.err, KC_ERR_RESOLVE);
    start(&f, KC_STR("a\0b"));
    wait_done(&f, 3);
    ck_assert_int_eq(f.lookup.err, KC_ERR_RESOLVE);
    ck_assert_int_eq(f.asked, 0);
    cleanup(&f);
}
END_TEST

START_TEST(an_idle_resolver_holds_no_socket_and_no_timer)
{
    fixture f;
    init_server(&f);
    size_t before = open_fds();
    size_t used = f.mem.used;
    start(&f, KC_STR("broker.example.test"));
    ck_assert_uint_gt(open_fds(), before);
    wait_done(&f, 1);
    ck_assert_int_eq(kn_loop_turn(f.loop, 0, NULL), KC_OK);
    ck_assert_uint_eq(open_fds(), before);
    ck_assert_uint_eq(f.mem.used, used);
    cleanup(&f);
}
END_TEST

START_TEST(a_cancelled_look_up_is_never_heard_of_again)
{
    fixture f;
    init_server(&f);
    f.is_silent = true;
    size_t before = open_fds();
    start(&f, KC_STR("silent.example.test"));
    kn_resolver_cancel(f.resolver, &f.lookup);
    kn_resolver_cancel(f.resolver, &f.lookup);
    ck_assert_int_eq(kn_loop_turn(f.loop, 0, NULL), KC_OK);
    ck_assert_uint_eq(open_fds(), before); // with nobody waiting, c-ares stops too
    start(&f, KC_STR("127.0.0.1"));
    kn_resolver_cancel(f.resolver, &f.lookup);
    ck_assert_int_eq(kn_loop_turn(f.loop, 0, NULL), KC_OK);
    ck_assert_int_eq(f.done, 0);
    cleanup(&f);
}
END_TEST

START_TEST(cancelling_one_look_up_leaves_the_other)
{
    fixture f;
    init_server(&f);
    kn_lookup other = {.host = KC_STR("other.example.test"), .done = on_done, .user = &f};
    start(&f, KC_STR("one.example.test"));
    kn_resolver_start(f.resolver, &other);
    kn_resolver_cancel(f.resolver, &f.lookup);
    wait_done(&f, 1);
    ck_assert_int_eq(other.err, KC_OK);
    ck_assert_uint_eq(other.count, 1);
    cleanup(&f);
}
END_TEST

START_TEST(a_resolver_can_be_freed_with_queries_cancelled_but_on_their_way)
{
    fixture f;
    init_server(&f);
    f.is_silent = true;
    start(&f, KC_STR("silent.example.test"));
    kn_resolver_cancel(f.resolver, &f.lookup);
    cleanup(&f);
}
END_TEST

START_TEST(running_out_of_memory_is_an_answer_too)
{
    for (size_t spare = 0; spare < 600; spare += 8) {
        fixture f;
        init_server(&f);
        f.mem.limit = f.mem.used + spare;
        start(&f, KC_STR("broker.example.test"));
        wait_done(&f, 1);
        ck_assert(f.lookup.err == KC_ERR_NOMEM || f.lookup.err == KC_OK);
        ck_assert(spare > 0 || f.lookup.err == KC_ERR_NOMEM);
        cleanup(&f);
    }
    kb_mem mem;
    kn_resolver *resolver;
    kb_mem_init(&mem, NULL, 8);
    ck_assert_int_eq(kn_resolver_new(&mem, (kn_loop *)&mem, &resolver), KC_ERR_NOMEM);
    kn_resolver_free(NULL);
}
END_TEST

/* ---- the name of an address ---- */

START_TEST(the_name_of_an_address_is_asked_of_dns)
{
    fixture f;
    init_server(&f);
    f.ptr = "b1.example.test";
    start_name(&f, "10.1.2.3");
    wait_done(&f, 1);
    ck_assert_int_eq(f.naming.err, KC_OK);
    ck_assert_str_eq(f.naming.name, "b1.example.test");
    ck_assert_str_eq(f.question, "3.2.1.10.in-addr.arpa.");
    start_name(&f, "fd00::7");
    wait_done(&f, 2);
    ck_assert_int_eq(f.naming.err, KC_OK);
    ck_assert_ptr_nonnull(strstr(f.question, "7.0.0.0.0.0.0.0."));
    ck_assert_ptr_nonnull(strstr(f.question, ".0.0.d.f.ip6.arpa."));
    cleanup(&f);
}
END_TEST

START_TEST(an_address_without_a_name_is_an_error)
{
    fixture f;
    init_server(&f);
    start_name(&f, "10.1.2.3");
    wait_done(&f, 1);
    ck_assert_int_eq(f.naming.err, KC_ERR_RESOLVE);
    f.rcode = 3;
    start_name(&f, "10.1.2.3");
    wait_done(&f, 2);
    ck_assert_int_eq(f.naming.err, KC_ERR_RESOLVE);
    ck_assert_str_eq(f.naming.name, "");
    cleanup(&f);
}
END_TEST

START_TEST(what_is_no_host_name_is_no_name_of_an_address)
{
    static const char *const bad[] = {"10.9.9.9", "a b.test", "x\n.test", "\xc3\xa4.test", "a/b"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        fixture f;
        init_server(&f);
        f.ptr = bad[i];
        start_name(&f, "10.1.2.3");
        wait_done(&f, 1);
        ck_assert_msg(f.naming.err == KC_ERR_RESOLVE, "%s: %s", bad[i], f.naming.name);
        ck_assert_str_eq(f.naming.name, "");
        cleanup(&f);
    }
}
END_TEST

START_TEST(the_search_for_a_name_can_be_cancelled_and_holds_nothing_when_done)
{
    fixture f;
    init_server(&f);
    size_t before = open_fds(), used = f.mem.used;
    f.is_silent = true;
    start_name(&f, "10.1.2.3");
    ck_assert_uint_gt(open_fds(), before);
    kn_resolver_cancel_name(f.resolver, &f.naming);
    kn_resolver_cancel_name(f.resolver, &f.naming);
    ck_assert_int_eq(kn_loop_turn(f.loop, 0, NULL), KC_OK);
    ck_assert_uint_eq(open_fds(), before);
    ck_assert_uint_eq(f.mem.used, used);
    ck_assert_int_eq(f.done, 0);
    start_name(&f, "10.1.2.3");
    kn_resolver_cancel_name(f.resolver, &f.naming);
    cleanup(&f);
}
END_TEST

START_TEST(a_name_and_an_address_are_looked_up_side_by_side)
{
    fixture f;
    init_server(&f);
    f.ptr = "b1.example.test";
    start(&f, KC_STR("broker.example.test"));
    start_name(&f, "10.1.2.3");
    kn_resolver_cancel(f.resolver, &f.lookup);
    wait_done(&f, 1);
    ck_assert_str_eq(f.naming.name, "b1.example.test");
    cleanup(&f);
}
END_TEST

START_TEST(running_out_of_memory_is_an_answer_about_a_name_too)
{
    for (size_t spare = 0; spare < 400; spare += 8) {
        fixture f;
        init_server(&f);
        f.ptr = "b1.example.test";
        f.mem.limit = f.mem.used + spare;
        start_name(&f, "10.1.2.3");
        wait_done(&f, 1);
        ck_assert(f.naming.err == KC_ERR_NOMEM || f.naming.err == KC_OK);
        ck_assert(spare > 0 || f.naming.err == KC_ERR_NOMEM);
        cleanup(&f);
    }
}
END_TEST
