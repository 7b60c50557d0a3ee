/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The embedded broker: a cluster of one to three, and a script of steps, each a byte for what and a byte for how
 * much. Requests of every API and version, most of them dressed to mean something (dress.h), others changed in a byte, raw
 * bytes, time, brokers that stop, faults, memory that runs out. Answers can be read as what was asked, and when all is
 * freed no byte is left. */
#include "fuzz/dress.h"
#include "mock/api.h"
#include "mock/auth.h"
#include "mock/broker.h"
#include "mock/conn.h"
#include "mock/fault.h"
#include "protocol/frame.h"
#include "protocol/wire.h"

#define PEERS     4
#define STEPS_MAX 300
#define ASKED_MAX 32
/** Long enough for every timer that ends. */
#define RUN_STEPS_MAX 100000

enum step {
    STEP_ASK, /* a request: api, version, two bytes of seed */
    STEP_ASK_TOO,
    STEP_LIE, /* the same, with a byte changed */
    STEP_RAW, /* bytes of the script as they are */
    STEP_RUN, /* let time pass */
    STEP_HANG_UP,
    STEP_STOP,
    STEP_START,
    STEP_CUT,
    STEP_MOVE,
    STEP_FAULT,
    STEP_DELETE_TOPIC,
    STEP_MEMORY, /* it runs out in the next step */
    STEP_READ,   /* how much of the answers leaves */
    STEP_COUNT,
};

typedef struct world world;

typedef struct peer {
    world *world;
    km_conn *conn;
    bool is_raw; /* sent bytes of no request: what is answered is not known */
    struct {
        const kp_api *api;
        int16_t version;
    } asked[ASKED_MAX];
    size_t first, count;
} peer;

struct world {
    kb_mem mem;
    uint32_t fail_at; /* the allocation that fails, counted down; 0: none */
    kb_rand rand;
    km_cluster *cluster;
    peer peers[PEERS];
    int64_t numbers[DRESS_KINDS];
    char members[DRESS_MEMBERS][64];
    size_t member_count;
    bool is_read_slowly;
    kc_bytes script;
};

/* ---- memory ---- */

static bool is_failing(world *w)
{
    return w->fail_at > 0 && --w->fail_at == 0;
}

static void *take(size_t size, void *user)
{
    return is_failing(user) ? NULL : malloc(size);
}

static void *retake(void *ptr, size_t size, void *user)
{
    return is_failing(user) ? NULL : realloc(ptr, size);
}

static void give(void *ptr, void *user)
{
    (void)user;
    free(ptr);
}

/* ---- connections ---- */

static uint8_t next_byte(world *w)
{
    if (w->script.len == 0)
        return 0;
    uint8_t byte = *w->script.ptr;
    w->script = kc_span(w->script.ptr + 1, w->script.len - 1);
    return byte;
}

static void on_output(km_conn *conn, void *user)
{
    (void)conn;
    (void)user;
}

static const km_conn_ops ops = {.on_output = on_output};

static void hang_up(peer *p)
{
    if (p->conn)
        km_conn_free(p->conn);
    p->conn = NULL;
    p->count = 0;
    p->is_raw = false;
}

/* The link as it is, or a new one to any broker. */
static peer *peer_at(world *w, uint8_t how)
{
    peer *p = &w->peers[how % PEERS];
    if (p->conn && km_conn_is_done(p->conn))
        hang_up(p);
    int32_t id = 1 + (int32_t)((how / PEERS) % (uint8_t)w->cluster->broker_count);
    if (!p->conn)
        p->conn = km_conn_new(km_broker_by_id(w->cluster, id), &ops, p);
    p->world = w;
    return p->conn ? p : NULL;
}

static dress dress_of(world *w, kb_arena *arena, int16_t api_key, int16_t version)
{
    return (dress){&w->rand, arena,      w->cluster, api_key,
                   version,  w->numbers, w->members, &w->member_count};
}

/* One answer, which is what was asked for. */
static void read_answer(peer *p, kc_bytes frame)
{
    world *w = p->world;
    kb_mem mem;
    kb_arena arena;
    kc_bytes body;
    kp_fault fault = {0};
    FUZZ_CHECK(p->count > 0);
    const kp_api *api = p->asked[p->first].api;
    int16_t version = p->asked[p->first].version;
    p->first = (p->first + 1) % ASKED_MAX;
    p->count--;
    kb_mem_init(&mem, NULL, 0);
    kb_arena_init(&arena, &mem, 0);
    FUZZ_CHECK(kp_frame_response_body(api, version, frame, &body, &fault) == KC_OK);
    void *response = kb_arena_zalloc(&arena, api->response->root->size);
    FUZZ_CHECK(kp_decode(api->response, version, body, &arena, response, &fault) == KC_OK);
    dress d = dress_of(w, &arena, api->key, version);
    dress_each(&d, api->response->root, response, dress_learn);
    kb_arena_cleanup(&arena);
}

static void read_answers(peer *p)
{
    for (;;) {
        kc_bytes out = km_conn_output(p->conn);
        if (out.len == 0)
            return;
        FUZZ_CHECK(out.len >= 4 && out.len - 4 >= kp_load32(out.ptr));
        if (!p->is_raw)
            read_answer(p, kc_span(out.ptr + 4, kp_load32(out.ptr)));
        km_conn_sent(p->conn, 4 + (size_t)kp_load32(out.ptr));
    }
}

/* ---- requests ---- */

static const kp_api *api_at(uint8_t number)
{
    const kp_api *served[128];
    size_t count = 0;
    for (size_t i = 0; i < kp_api_count(); i++)
        if (km_api_handler(kp_api_at(i)->key))
            served[count++] = kp_api_at(i);
    return served[number % count];
}

static void note(peer *p, const kp_api *api, int16_t version, const void *message, bool is_lie)
{
    bool is_produce = api->key == KP_API_PRODUCE;
    /* After the last of these answers are tokens without a header. */
    p->is_raw |= p->count == ASKED_MAX || (is_produce && is_lie) ||
                 (api->key == KP_API_SASL_HANDSHAKE && version == 0);
    if (p->is_raw || (is_produce && ((const kp_produce_req *)message)->acks == 0))
        return;
    size_t at = (p->first + p->count++) % ASKED_MAX;
    p->asked[at].api = api;
    p->asked[at].version = version;
}

static void ask(world *w, uint8_t how, bool is_lie)
{
    kb_mem mem;
    kb_arena arena;
    kb_buf frame;
    const kp_api *api = api_at(next_byte(w));
    int16_t range = (int16_t)(api->request->max - api->request->min + 1);
    int16_t version = (int16_t)(api->request->min + next_byte(w) % range);
    uint64_t seed = (uint64_t)next_byte(w) << 8 | next_byte(w);
    peer *p = peer_at(w, how);
    if (!p)
        return;
    kb_rand_init(&w->rand, seed);
    kb_mem_init(&mem, NULL, 0);
    kb_arena_init(&arena, &mem, 0);
    kb_buf_init(&frame, &mem, 0);
    void *message = kb_arena_zalloc(&arena, api->request->root->size);
    FUZZ_CHECK(kp_random_fill(api->request, version, &w->rand, &arena, message) == KC_OK);
    dress d = dress_of(w, &arena, api->key, version);
    if (seed % 16 != 0)
        dress_each(&d, api->request->root, message, dress_value);
    FUZZ_CHECK(kp_frame_request(api, version, 7, KC_STR("fuzz"), message, &frame, NULL, NULL) ==
               KC_OK);
    if (is_lie && frame.len > 12) /* size, api and version stay */
        frame.data[8 + kb_rand_below(&w->rand, frame.len - 8)] ^= (uint8_t)(1 << seed % 8);
    note(p, api, version, message, is_lie);
    km_conn_receive(p->conn, kb_buf_bytes(&frame));
    kb_buf_cleanup(&frame);
    kb_arena_cleanup(&arena);
}

static void send_raw(world *w, uint8_t how)
{
    size_t len = next_byte(w);
    peer *p = peer_at(w, how);
    len = len < w->script.len ? len : w->script.len;
    if (p) {
        p->is_raw = true;
        km_conn_receive(p->conn, kc_span(w->script.ptr, len));
    }
    w->script = kc_span(w->script.ptr + len, w->script.len - len);
}

/* ---- what happens to the cluster ---- */

static void run(world *w, int64_t ms)
{
    km_cluster *cluster = w->cluster;
    int64_t until_us = cluster->now_us + ms * 1000;
    for (size_t turns = 0;; turns++) {
        FUZZ_CHECK(turns < RUN_STEPS_MAX);
        int64_t due_us = km_cluster_next_due(cluster);
        int64_t at_us = due_us < until_us ? due_us : until_us;
        at_us = at_us < cluster->now_us ? cluster->now_us : at_us;
        km_cluster_advance(cluster, at_us, 1700000000000 + at_us / 1000);
        if (due_us > until_us)
            return;
    }
}

static km_topic *topic_at(const world *w, uint8_t how)
{
    size_t pos = 0;
    km_topic *topic = NULL;
    for (int n = 0; n <= how; n++)
        if (!(topic = kb_map_next(&w->cluster->topics, &pos)))
            break;
    return topic;
}

static void move(world *w, uint8_t how)
{
    const km_topic *topic = topic_at(w, how % 4);
    if (!topic)
        return;
    for (int32_t i = 0; i < topic->partition_count; i++)
        km_partition_move(w->cluster, topic->partitions[i], 1 + how / 4 % w->cluster->broker_count);
    km_changed(w->cluster);
}

static void add_fault(world *w, uint8_t how)
{
    km_fault fault;
    km_fault_init(&fault);
    uint8_t what = next_byte(w);
    fault.every = 1 + how % 3;
    fault.count = 1 + how % 5;
    fault.delay_us = what & 1 ? how * 10000 : 0;
    fault.answer_delay_us = what & 2 ? how * 10000 : 0;
    fault.error = what & 4 ? (int16_t)(how % 130 - 1) : 0;
    fault.throttle_ms = what & 8 ? how * 10 : 0;
    fault.end = what & 16 ? (km_fault_end)(how % 4) : KM_FAULT_ANSWER;
    if (what & 32)
        km_fault_clear(w->cluster);
    else
        (void)km_fault_add(w->cluster, &fault);
}

static void delete_topic(world *w, uint8_t how)
{
    km_topic *topic = topic_at(w, how % 8);
    if (!topic)
        return;
    km_topic_delete(w->cluster, topic);
    km_changed(w->cluster);
}

static void lack_memory(world *w, uint8_t how)
{
    if (how & 1)
        w->fail_at = 1 + how / 2;
    else
        w->mem.limit = w->mem.used + (size_t)how * how;
}

static void do_step(world *w, uint8_t what, uint8_t how)
{
    km_broker *broker = km_broker_by_id(w->cluster, 1 + how % w->cluster->broker_count);
    switch ((enum step)(what % STEP_COUNT)) {
    case STEP_ASK:
    case STEP_ASK_TOO:
        ask(w, how, false);
        break;
    case STEP_LIE:
        ask(w, how, true);
        break;
    case STEP_RAW:
        send_raw(w, how);
        break;
    case STEP_RUN:
        run(w, (int64_t)how * how);
        break;
    case STEP_HANG_UP:
        hang_up(&w->peers[how % PEERS]);
        break;
    case STEP_STOP:
        km_broker_stop(broker, how & 0x80);
        break;
    case STEP_START:
        km_broker_start(broker);
        break;
    case STEP_CUT:
        km_broker_cut(broker);
        break;
    case STEP_MOVE:
        move(w, how);
        break;
    case STEP_FAULT:
        add_fault(w, how);
        break;
    case STEP_DELETE_TOPIC:
        delete_topic(w, how);
        break;
    case STEP_MEMORY:
        lack_memory(w, how);
        break;
    default:
        w->is_read_slowly = how & 1;
        break;
    }
}

/* ---- a world ---- */

static void set_up(world *w, uint8_t head)
{
    const kc_alloc alloc = {take, retake, give, w};
    km_topic *topic;
    km_options options;
    memset(w, 0, sizeof *w);
    kb_mem_init(&w->mem, &alloc, FUZZ_BYTES_MAX);
    km_options_init(&options);
    options.broker_count = 1 + head % 3;
    options.replication_us = head & 4 ? 5000 : 0;
    options.group_initial_delay_ms = head & 8 ? 3000 : 0;
    options.txn_marker_delay_us = head & 16 ? 20000 : 0;
    options.connections_max_idle_ms = head & 32 ? 600000 : 0;
    FUZZ_CHECK(km_cluster_new(&w->mem, &options, 1000000, 1700000000000, &w->cluster) == KC_OK);
    FUZZ_CHECK(km_topic_create(w->cluster, KC_STR("t"), 2, -1, &topic) == 0);
    FUZZ_CHECK(km_topic_create(w->cluster, KC_STR("u"), 1, -1, &topic) == 0);
    if (head & 64) {
        FUZZ_CHECK(km_auth_add_user(w->cluster, "u", "p") == KC_OK);
        w->cluster->auth->is_required = true;
    }
    w->numbers[DRESS_PRODUCER_ID] = 1000;
}

static void tear_down(world *w)
{
    for (size_t i = 0; i < PEERS; i++)
        hang_up(&w->peers[i]);
    km_cluster_free(w->cluster);
    FUZZ_CHECK(w->mem.used == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    world w;
    if (size == 0)
        return 0;
    set_up(&w, *data);
    w.script = kc_span(data + 1, size - 1);
    for (size_t steps = 0; w.script.len >= 2 && steps < STEPS_MAX; steps++) {
        uint8_t what = next_byte(&w);
        do_step(&w, what, next_byte(&w));
        if (what % STEP_COUNT != STEP_MEMORY) {
            w.fail_at = 0;
            w.mem.limit = FUZZ_BYTES_MAX;
        }
        run(&w, 0);
        for (size_t i = 0; i < PEERS && !w.is_read_slowly; i++)
            if (w.peers[i].conn)
                read_answers(&w.peers[i]);
    }
    tear_down(&w);
    return 0;
}

void fuzz_make_seed(kb_rand *rand, kb_buf *out)
{
    kb_buf_put_byte(out, (uint8_t)kb_rand_u64(rand) & 0x3f);
    for (uint64_t n = 4 + kb_rand_below(rand, 60); n > 0; n--) {
        uint8_t what = (uint8_t)kb_rand_below(rand, kb_rand_one_in(rand, 4) ? STEP_COUNT : 2);
        kb_buf_put_byte(out, what);
        kb_buf_put_byte(out, (uint8_t)kb_rand_u64(rand) & (what == STEP_RUN ? 0x7f : 0xff));
        for (int i = 0; i < 4 && what <= STEP_LIE; i++)
            kb_buf_put_byte(out, (uint8_t)kb_rand_u64(rand));
        if (what == STEP_RAW)
            kb_buf_put_byte(out, 0);
    }
}
