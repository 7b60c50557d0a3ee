/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * officeflow kafka fuzz: mutated requests at a bounded rate, and an eye on the broker. */
#include "officeflow/cli/fuzz_request.h"
#include "officeflow/cli/verbs.h"
#include "officeflow/cli/wire.h"
#include "protocol/base/text.h"

#include <kafkac/unstable/messages.h>

#include <stdio.h>

/** Not all requests are answered at once, or at all (acks 0): then the connection is given up. */
#define ANSWER_MS 300
/** A broker that is alive answers ApiVersions by then. */
#define ALIVE_MS 15000
/** What one request and its answer may hold. */
#define BYTES_MAX ((size_t)256 << 20)

static struct {
    int64_t rate, count, seed, from, check_every;
    cli_list apis;
    bool with_bytes, with_all;
} opt = {.rate = 50, .count = 1000, .seed = 1, .check_every = 20};

typedef struct fuzzer {
    kc_bytes brokers;
    cli_fuzz_plan plan;
    kc_arena *arena;
    kb_buf answer;
    int fd; /* -1: none */
    int64_t sent, answered, closed, silent, findings;
} fuzzer;

/* ---- what is found ---- */

static void tell(fuzzer *f, const char *finding, uint32_t number)
{
    cli_fuzz_request request;
    kc_arena_reset(f->arena);
    if (!cli_fuzz_make(&f->plan, number, f->arena, &request)) /* as it was made before */
        return;
    kb_json_writer json = cli_json_begin();
    kb_json_object(&json);
    kb_json_member_str(&json, "finding", finding);
    kb_json_member_int(&json, "seed", (int64_t)f->plan.seed);
    kb_json_member_int(&json, "number", number);
    kb_json_member_str(&json, "api", request.api->name);
    kb_json_member_int(&json, "version", request.version);
    kb_json_member_int(&json, "mutations", request.mutations);
    kb_json_member_str(&json, "last", request.mutation.what ? request.mutation.what : "");
    kb_json_member_str(&json, "path", request.mutation.path);
    kb_json_key_str(&json, "hex");
    kb_json_hex(&json, request.frame);
    kb_json_object_end(&json);
    cli_json_end();
    cli_flush();
    f->findings++;
}

static void print_summary(const fuzzer *f)
{
    kb_json_writer json = cli_json_begin();
    kb_json_object(&json);
    kb_json_member_int(&json, "seed", (int64_t)f->plan.seed);
    kb_json_member_int(&json, "apis", (int64_t)f->plan.api_count);
    kb_json_member_int(&json, "sent", f->sent);
    kb_json_member_int(&json, "answered", f->answered);
    kb_json_member_int(&json, "closed", f->closed);
    kb_json_member_int(&json, "silent", f->silent);
    kb_json_member_int(&json, "findings", f->findings);
    kb_json_object_end(&json);
    cli_json_end();
}

/* ---- the broker ---- */

/* Its answer to ApiVersions on a connection of its own; NULL: none that can be read. */
static const kp_api_versions_resp *ask_versions(fuzzer *f)
{
    const kc_schema *schema = kc_schema_of_api(KP_API_API_VERSIONS, KC_MESSAGE_REQUEST);
    kc_frame frame = {.body = NULL};
    void *body;
    kc_arena_reset(f->arena);
    if (kc_message_new(schema, f->arena, &body) != KC_OK)
        return NULL;
    kc_bytes request = cli_fuzz_frame(KP_API_API_VERSIONS, 0, body, 0, f->arena);
    int fd = cli_wire_open(f->brokers, ALIVE_MS);
    bool is_answered = fd >= 0 && request.ptr && cli_wire_send(fd, request, ALIVE_MS) == KC_OK &&
                       cli_wire_read(fd, &f->answer, ALIVE_MS) == KC_OK &&
                       kc_frame_decode(KC_MESSAGE_RESPONSE, KP_API_API_VERSIONS, 0,
                                       kb_buf_bytes(&f->answer), f->arena, &frame, NULL) == KC_OK;
    cli_wire_close(fd);
    return is_answered ? frame.body : NULL;
}

static bool is_wanted(const char *name)
{
    if (opt.with_all)
        return true;
    for (size_t i = 0; i < opt.apis.count; i++)
        if (kb_text_is(kc_str(opt.apis.items[i]), name))
            return true;
    for (size_t i = 0; opt.apis.count == 0 && cli_fuzz_safe_apis[i]; i++)
        if (strcmp(cli_fuzz_safe_apis[i], name) == 0)
            return true;
    return false;
}

static void plan_api(cli_fuzz_plan *plan, const kp_api_versions_resp_api_key *served)
{
    const kc_schema *schema = kc_schema_of_api(served->api_key, KC_MESSAGE_REQUEST);
    kc_schema_info info;
    if (!schema || plan->api_count == CLI_FUZZ_APIS_MAX)
        return;
    kc_schema_get_info(schema, &info);
    cli_fuzz_api api = {info.name, info.api_key, info.version_min, info.version_max};
    if (api.min < served->min_version)
        api.min = served->min_version;
    if (api.max > served->max_version)
        api.max = served->max_version;
    if (is_wanted(info.name) && api.min <= api.max)
        plan->apis[plan->api_count++] = api;
}

static bool plan_all(fuzzer *f)
{
    if (opt.with_all && opt.apis.count > 0)
        return cli_complain("kafka fuzz: --api and --all are two ways to say which APIs: give one");
    for (size_t i = 0; i < opt.apis.count; i++)
        if (!kc_schema_find(kc_str(opt.apis.items[i]), KC_MESSAGE_REQUEST))
            return cli_complain("kafka fuzz: there is no API \"%s\"; officeflow codec schema lists "
                                "them",
                                opt.apis.items[i]);
    const kp_api_versions_resp *served = ask_versions(f);
    if (!served)
        return cli_complain("kafka fuzz: no broker of " KC_FMT " answers ApiVersions",
                            KC_ARG(f->brokers));
    for (int32_t i = 0; i < served->api_keys.count; i++)
        plan_api(&f->plan, &served->api_keys.items[i]);
    return f->plan.api_count > 0 || cli_complain("kafka fuzz: the broker serves none of the APIs");
}

/* ---- one request ---- */

static void hang_up(fuzzer *f)
{
    cli_wire_close(f->fd);
    f->fd = -1;
}

/* NULL: nothing was found. */
static const char *judge(fuzzer *f, const cli_fuzz_request *request, uint32_t number)
{
    kc_frame frame;
    kc_fault fault;
    kc_err err = kc_frame_decode(KC_MESSAGE_RESPONSE, request->api->key, request->version,
                                 kb_buf_bytes(&f->answer), f->arena, &frame, &fault);
    if (err == KC_ERR_NOMEM)
        return NULL; /* an answer above our own limit */
    if (err != KC_OK)
        return "the answer can't be read";
    const kp_response_header *header = frame.header;
    return header->correlation_id == (int32_t)number ? NULL : "the answer is for another request";
}

static kc_err exchange(fuzzer *f, kc_bytes request)
{
    if (f->fd < 0)
        f->fd = cli_wire_open(f->brokers, ALIVE_MS);
    kc_err err = f->fd < 0 ? KC_ERR_DISCONNECTED : cli_wire_send(f->fd, request, ALIVE_MS);
    if (err == KC_OK)
        err = cli_wire_read(f->fd, &f->answer, ANSWER_MS);
    if (err != KC_OK)
        hang_up(f);
    return err;
}

static bool send_one(fuzzer *f, uint32_t number)
{
    cli_fuzz_request request;
    const char *finding = NULL;
    kc_arena_reset(f->arena);
    if (!cli_fuzz_make(&f->plan, number, f->arena, &request))
        return cli_complain("kafka fuzz: out of memory");
    kc_err err = exchange(f, request.frame);
    f->sent++;
    if (err == KC_OK) {
        f->answered++;
        finding = judge(f, &request, number);
    } else if (err == KC_ERR_TIMEOUT) {
        f->silent++;
    } else {
        f->closed++;
        finding = err == KC_ERR_MALFORMED ? "the answer is no frame" : NULL;
    }
    if (finding)
        tell(f, finding, number);
    return true;
}

/* All that were sent since the broker last answered are told. False: it does not answer any more. */
static bool is_alive(fuzzer *f, uint32_t first, uint32_t behind)
{
    if (ask_versions(f))
        return true;
    for (uint32_t number = first; number < behind; number++)
        tell(f, "the broker does not answer ApiVersions any more", number);
    return cli_complain("kafka fuzz: the broker does not answer any more; the requests since it "
                        "last did are printed");
}

static bool run_all(fuzzer *f)
{
    uint32_t number = (uint32_t)opt.from;
    uint32_t unchecked = number;
    for (uint32_t end = number + (uint32_t)opt.count; number < end;) {
        if (!send_one(f, number++))
            return false;
        if (number - unchecked == opt.check_every || number == end) {
            if (!is_alive(f, unchecked, number))
                return false;
            unchecked = number;
        }
        cli_progress("%lld requests, %lld answered", (long long)f->sent, (long long)f->answered);
        cli_wire_wait((int)(1000 / opt.rate));
        if (cli_is_output_broken())
            return false;
    }
    return true;
}

static int run_fuzz(cli_session *session, cli_words words, cli_words command)
{
    (void)words, (void)command;
    fuzzer f = {
        .fd = -1,
        .brokers = kb_arena_copy(&session->arena,
                                 kc_str(kc_config_get(session->config.kafka, "bootstrap.servers"))),
        .plan = {.seed = (uint64_t)opt.seed, .with_bytes = opt.with_bytes},
        .arena = kc_arena_new(NULL, BYTES_MAX)};
    if (!f.arena || !f.brokers.ptr) {
        cli_complain("kafka fuzz: out of memory");
        return CLI_ERROR;
    }
    kb_buf_init(&f.answer, &session->mem, CLI_WIRE_FRAME_MAX);
    bool is_planned = plan_all(&f);
    bool is_done = is_planned && run_all(&f);
    if (is_planned)
        print_summary(&f);
    hang_up(&f);
    kb_buf_cleanup(&f.answer);
    kc_arena_free(f.arena);
    if (f.findings > 0)
        return CLI_SOMETHING;
    return is_done ? CLI_OK : CLI_ERROR;
}

static const cli_option options[] = {
    {0, "count", CLI_INT, &opt.count, "N", "requests to send (1000)", 1, INT32_MAX},
    {0, "rate", CLI_INT, &opt.rate, "N", "requests a second, at most (50); up to 1000", 1, 1000},
    {0, "seed", CLI_INT, &opt.seed, "S", "which requests (1)", 0, INT64_MAX},
    {0, "from", CLI_INT, &opt.from, "N", "number of the first (0)", 0, INT32_MAX},
    {0, "api", CLI_LIST, &opt.apis, "NAME",
     "only this API, also one that destroys; may be given several times", 0, 0},
    {0, "all", CLI_FLAG, &opt.with_all, NULL,
     "all APIs the broker serves: THIS DESTROYS TOPICS, GROUPS AND SETTINGS,\nand may end the "
     "broker",
     0, 0},
    {0, "bytes", CLI_FLAG, &opt.with_bytes, NULL,
     "half of the requests also lie: in a length, a count, a tag, ...", 0, 0},
    {0, "check-every", CLI_INT, &opt.check_every, "N",
     "requests between two looks whether the broker lives (20)", 1, 10000},
    {0, NULL, CLI_FLAG, NULL, NULL, NULL, 0, 0},
};

const cli_verb cli_fuzz_verbs[] = {
    {
        .name = "kafka fuzz",
        .arguments = "",
        .summary = "Send mutated requests to a broker, watch that it stays alive",
        .help =
            "The requests follow from the seed. Findings are JSON lines with the request in hex: "
            "an "
            "answer that can't\nbe read, or a broker that does not answer ApiVersions on a new "
            "connection any more (then each request\nsince it last did). One is sent again by its "
            "number: --seed S --from NUMBER --count 1, with the same\n--api or --all, and --bytes. "
            "Exit code 2: there are findings. The last line counts what was sent, answered,\n"
            "closed by the broker, and not answered within 0.3 s.\n\n"
            "By default only APIs that read: ApiVersions, ConsumerGroupDescribe, Describe*, Fetch, "
            "FindCoordinator,\nGetTelemetrySubscriptions, List*, Metadata, OffsetFetch, "
            "OffsetForLeaderEpoch, ShareGroupDescribe. They\ndestroy nothing, but Metadata can "
            "make topics where the broker makes them on demand.",
        .options = options,
        .run = run_fuzz,
    },
    {.name = NULL},
};
