/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A pool of connections on the network in memory, whose server does what the input says: a script of
 * steps, each a byte for what and a byte for how much. Every request ends exactly once, and nothing is
 * left when the pool is freed. */
#include "fuzz/fuzz.h"
#include "net/mem.h"
#include "net/pool.h"
#include "protocol/generated/messages.h"
#include "protocol/wire.h"

#include <kafkac/unstable/errors.h>

#define CALLS 8
/** A frame from the network may claim this much and no more. */
#define RESPONSE_BYTES_MAX (1 << 20)
/** More than connecting, being throttled, and waiting for an answer take together. */
#define ALL_TIMEOUTS_MS 30000
#define HOST            "10.0.0.1"
#define PORT            9092

enum step {
    STEP_RUN,    /* let time pass                                    */
    STEP_RAW,    /* send bytes of the script as they are             */
    STEP_ANSWER, /* answer the oldest request as a broker would      */
    STEP_BODY,   /* answer it with bytes of the script as the body   */
    STEP_SUBMIT,
    STEP_CANCEL,
    STEP_CLOSE,
    STEP_RESET,
    STEP_READ_MAX, /* how much one read gives */
    STEP_WRITE_MAX,
    STEP_BROKER, /* a broker is learned */
    STEP_FORGET, /* all are forgotten   */
    STEP_THROTTLE,
    STEP_COUNT,
};

typedef struct world world;

typedef struct call {
    kn_request request;
    kp_metadata_req msg;
    world *world;
    uint32_t submitted, ended;
} call;

struct world {
    kb_mem mem;
    kb_rand rand;
    kn_loop *loop;
    kn_mem_network *network;
    kn_pool *pool;
    kn_mem_peer *peer; /* of the newest connection; NULL: none */
    call calls[CALLS];
    kc_bytes script;
};

/* ---- the server ---- */

static void on_accept(void *user, kn_mem_peer *peer)
{
    ((world *)user)->peer = peer;
}

static void on_close(void *user, kn_mem_peer *peer)
{
    world *w = user;
    if (w->peer == peer)
        w->peer = NULL;
}

static kc_bytes script_bytes(world *w, size_t len)
{
    kc_bytes bytes = kc_span(w->script.ptr, len < w->script.len ? len : w->script.len);
    w->script = kc_span(w->script.ptr + bytes.len, w->script.len - bytes.len);
    return bytes;
}

static void put_versions(const kp_request_info *info, kb_buf *out)
{
    kp_api_versions_resp resp;
    kp_api_versions_resp_api_key keys[128];
    kp_defaults(&kp_api_versions_resp_message, &resp);
    resp.api_keys.items = keys;
    for (size_t i = 0; i < kp_api_count(); i++) {
        const kp_api *api = kp_api_at(i);
        keys[resp.api_keys.count++] = (kp_api_versions_resp_api_key){
            .api_key = api->key, .min_version = api->request->min, .max_version = api->stable_max};
    }
    FUZZ_CHECK(kp_frame_response(kp_api_by_key(info->api_key), info->version, info->correlation_id,
                                 &resp, out, NULL) == KC_OK);
}

static void put_metadata(const kp_request_info *info, kb_buf *out)
{
    kp_metadata_resp resp;
    kp_defaults(&kp_metadata_resp_message, &resp);
    FUZZ_CHECK(kp_frame_response(kp_api_by_key(info->api_key), info->version, info->correlation_id,
                                 &resp, out, NULL) == KC_OK);
}

static void put_body(const kp_request_info *info, kc_bytes body, kb_buf *out)
{
    uint8_t head[8];
    kp_store32(kp_store32(head, (uint32_t)(4 + body.len)), (uint32_t)info->correlation_id);
    kb_buf_put(out, head, sizeof head);
    kb_buf_put_bytes(out, body);
}

/* The oldest request that came whole is taken and answered; with `len` bytes of the script when not negative. */
static void answer(world *w, int len)
{
    kp_request_info info;
    kb_buf out;
    kc_bytes in = w->peer ? kn_mem_peer_in(w->peer) : KC_NULL;
    if (in.len < 4 || in.len - 4 < kp_load32(in.ptr))
        return;
    size_t size = kp_load32(in.ptr);
    FUZZ_CHECK(kp_frame_request_parse(kc_span(in.ptr + 4, size), &info, NULL) == KC_OK);
    kb_buf_init(&out, &w->mem, 0);
    if (len >= 0)
        put_body(&info, script_bytes(w, (size_t)len), &out);
    else if (info.api_key == KP_API_API_VERSIONS)
        put_versions(&info, &out);
    else
        put_metadata(&info, &out);
    kn_mem_peer_take(w->peer, 4 + size);
    (void)!kn_mem_peer_write(w->peer, kb_buf_bytes(&out));
    kb_buf_cleanup(&out);
}

/* ---- the client ---- */

static void on_done(kn_request *request, const kn_reply *reply)
{
    call *c = request->user;
    kb_arena arena;
    kp_metadata_resp resp;
    kc_error error;
    FUZZ_CHECK(++c->ended == c->submitted);
    FUZZ_CHECK((reply->err == KC_OK) == (reply->error == NULL));
    if (reply->err != KC_OK)
        return;
    kb_arena_init(&arena, &c->world->mem, 0);
    (void)!kn_reply_decode(request, reply, &arena, &resp, &error);
    kb_arena_cleanup(&arena);
}

static void submit(world *w, uint8_t how)
{
    call *c = &w->calls[how % CALLS];
    if (kn_request_is_active(&c->request))
        return;
    c->request.timeout_ms = how & 0x40 ? 500 : 0;
    c->request.version_max = how & 0x20 ? 4 : -1;
    c->submitted++;
    kn_target target = {how & 0x80 ? 1 : KN_ANY_BROKER, KN_LANE_MAIN, 0};
    kn_pool_submit(w->pool, target, &c->request);
}

static void cancel(world *w, uint8_t how)
{
    call *c = &w->calls[how % CALLS];
    if (!kn_request_is_active(&c->request))
        return;
    kn_request_cancel(&c->request);
    c->ended++;
}

static void run(world *w, int64_t ms)
{
    int64_t until_us = kn_loop_now_us(w->loop) + ms * 1000;
    while (kn_loop_advance(w->loop, until_us))
        continue;
}

static void hang_up(world *w, void (*how)(kn_mem_peer *))
{
    kn_mem_peer *peer = w->peer;
    w->peer = NULL;
    if (peer)
        how(peer);
}

static void step(world *w, uint8_t what, uint8_t how)
{
    switch ((enum step)(what % STEP_COUNT)) {
    case STEP_RUN:
        run(w, (int64_t)how * how);
        break;
    case STEP_RAW:
        if (w->peer)
            (void)!kn_mem_peer_write(w->peer, script_bytes(w, how));
        break;
    case STEP_ANSWER:
        answer(w, -1);
        break;
    case STEP_BODY:
        answer(w, how);
        break;
    case STEP_SUBMIT:
        submit(w, how);
        break;
    case STEP_CANCEL:
        cancel(w, how);
        break;
    case STEP_CLOSE:
        hang_up(w, kn_mem_peer_close);
        break;
    case STEP_RESET:
        hang_up(w, kn_mem_peer_reset);
        break;
    case STEP_READ_MAX:
        kn_mem_network_shape(w->network)->read_max = how;
        break;
    case STEP_WRITE_MAX:
        kn_mem_network_shape(w->network)->write_max = how;
        break;
    case STEP_BROKER:
        (void)!kn_pool_set_broker(w->pool, 1, KC_STR(HOST), how & 1 ? PORT : PORT + 1);
        break;
    case STEP_FORGET:
        kn_pool_keep_brokers(w->pool, NULL, 0);
        break;
    default:
        kn_pool_throttle(w->pool, (kn_target){KN_ANY_BROKER, KN_LANE_MAIN, 0}, how);
        break;
    }
}

static void set_up(world *w)
{
    static const kn_mem_server server = {.on_accept = on_accept, .on_close = on_close};
    kc_error error;
    memset(w, 0, sizeof *w);
    kb_mem_init(&w->mem, NULL, FUZZ_BYTES_MAX);
    kb_rand_init(&w->rand, 1);
    FUZZ_CHECK(kn_loop_new_virtual(&w->mem, 1000000, 1700000000000, &w->loop) == KC_OK);
    FUZZ_CHECK(kn_mem_network_new(&w->mem, w->loop, &w->rand, &w->network) == KC_OK);
    FUZZ_CHECK(kn_mem_listen(w->network, HOST, PORT, &server, w) == KC_OK);
    kn_pool_options options = {.mem = &w->mem,
                               .loop = w->loop,
                               .network = kn_mem_network_base(w->network),
                               .rand = &w->rand,
                               .bootstrap_servers = KC_STR(HOST ":9092"),
                               .client_id = KC_STR("fuzz"),
                               .request_timeout_ms = 3000,
                               .connection_setup_timeout_ms = 1000,
                               .connection_setup_timeout_max_ms = 3000,
                               .reconnect_backoff_ms = 50,
                               .reconnect_backoff_max_ms = 1000,
                               .connections_max_idle_ms = 9000,
                               .in_flight_max = 5,
                               .response_bytes_max = RESPONSE_BYTES_MAX,
                               .send_buffer_bytes = -1,
                               .receive_buffer_bytes = -1};
    FUZZ_CHECK(kn_pool_new(&options, &w->pool, &error) == KC_OK);
    for (size_t i = 0; i < CALLS; i++) {
        call *c = &w->calls[i];
        c->world = w;
        kn_request_init(&c->request, &w->mem);
        kp_defaults(&kp_metadata_req_message, &c->msg);
        c->request.api = kp_api_by_key(KP_API_METADATA);
        c->request.msg = &c->msg;
        c->request.done = on_done;
        c->request.user = c;
    }
}

static void tear_down(world *w)
{
    kn_pool_free(w->pool);
    for (size_t i = 0; i < CALLS; i++) {
        FUZZ_CHECK(w->calls[i].ended == w->calls[i].submitted);
        kn_request_cleanup(&w->calls[i].request);
    }
    kn_network_free(kn_mem_network_base(w->network));
    kn_loop_free(w->loop);
    FUZZ_CHECK(w->mem.used == 0);
}

/* Nobody answers any more: the timeouts end every request. */
static void wait_for_all(world *w)
{
    run(w, ALL_TIMEOUTS_MS);
    for (size_t i = 0; i < CALLS; i++)
        FUZZ_CHECK(!kn_request_is_active(&w->calls[i].request));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    world w;
    set_up(&w);
    w.script = kc_span(data, size);
    while (w.script.len >= 2) {
        kc_bytes next = script_bytes(&w, 2);
        step(&w, next.ptr[0], next.ptr[1]);
        run(&w, 0);
    }
    if (size % 2 == 0) /* else the pool is freed in the middle of things */
        wait_for_all(&w);
    tear_down(&w);
    return 0;
}

static void put_step(kb_buf *out, enum step what, uint8_t how)
{
    kb_buf_put_byte(out, (uint8_t)what);
    kb_buf_put_byte(out, how);
}

void fuzz_make_seed(kb_rand *rand, kb_buf *out)
{
    put_step(out, STEP_SUBMIT, 0);
    put_step(out, STEP_RUN, 3);
    put_step(out, STEP_ANSWER, 0);
    put_step(out, STEP_RUN, 3);
    for (uint64_t n = kb_rand_below(rand, 12); n > 0; n--) {
        enum step what = (enum step)kb_rand_below(rand, STEP_COUNT);
        uint8_t how = (uint8_t)kb_rand_below(rand, 48);
        put_step(out, what, how);
        for (; how > 0 && (what == STEP_RAW || what == STEP_BODY); how--)
            kb_buf_put_byte(out, (uint8_t)kb_rand_below(rand, 4));
    }
    put_step(out, STEP_ANSWER, 0);
    if (kb_rand_below(rand, 2) == 0)
        kb_buf_put_byte(out, 0);
}
