/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * officeflow kafka call: any request of the protocol, JSON in and out. */
#include "officeflow/cli/verbs.h"

static struct {
    int64_t version, broker;
} opt = {.version = -1, .broker = -1};

typedef struct call {
    bool is_done;
    kc_error error;
} call;

static void on_answer(kc_err err, const kc_error *error, int16_t version, kc_bytes json, void *user)
{
    call *c = user;
    (void)version;
    c->is_done = true;
    if (err != KC_OK) {
        c->error = *error;
        return;
    }
    kb_buf_put_bytes(cli_out(), json);
    cli_json_end();
}

/** Without JSON all members take their defaults. ApiVersions has two, from version 3 on, whose default (empty) brokers
 *  refuse. */
static kc_bytes default_request(const char *api)
{
    if (strcmp(api, "ApiVersions") != 0 || (opt.version >= 0 && opt.version < 3))
        return KC_STR("{}");
    return KC_STR("{\"clientSoftwareName\":\"officeflow\",\"clientSoftwareVersion\":\"" KC_VERSION
                  "\"}");
}

static bool await_answer(cli_session *session, const char *api, const call *c)
{
    while (!c->is_done) {
        kc_err turned = kc_client_dispatch(session->client, 250);
        if (turned != KC_OK && turned != KC_ERR_AGAIN)
            return cli_complain("kafka call: %s", kc_err_text(turned));
        cli_progress("%s", api);
    }
    return c->error.code == KC_OK || cli_fail("kafka call", &c->error) == CLI_OK;
}

static int run_call(cli_session *session, cli_words words, cli_words command)
{
    (void)command;
    if (!cli_session_open(session))
        return CLI_ERROR;
    call c = {0};
    kc_call_options options = KC_CALL_OPTIONS_INIT;
    options.version = (int16_t)opt.version;
    if (opt.broker >= 0)
        options.to = (int32_t)opt.broker;
    kc_bytes json = words.count > 1 ? kc_str(words.items[1]) : default_request(words.items[0]);
    // mistakes in the request are told without a broker
    if (kc_call_json(session->client, kc_str(words.items[0]), json, &options, on_answer, &c,
                     &c.error) != KC_OK)
        return cli_fail("kafka call", &c.error);
    bool is_ok = cli_await_broker(session) && await_answer(session, words.items[0], &c);
    cli_session_close(session); // an answer still out would come to `c`
    return is_ok ? CLI_OK : CLI_ERROR;
}

static const cli_option options[] = {
    {0, "version", CLI_INT, &opt.version, "N",
     "version of the request; default: the highest common one", 0, INT16_MAX},
    {0, "broker", CLI_INT, &opt.broker, "ID",
     "the broker to ask; default: as the API wants (any, controller,\ncoordinator, leader)", 0,
     INT32_MAX},
    {0, NULL, CLI_FLAG, NULL, NULL, NULL, 0, 0},
};

const cli_verb cli_call_verbs[] = {
    {
        .name = "kafka call",
        .arguments = "API ['JSON']",
        .summary = "Send one request of the Kafka protocol, print the answer as a JSON line",
        .help =
            "API is a name such as Metadata or DescribeGroups; JSON its members as in Kafka's own "
            "JSON form,\n{} by default: an absent member takes its default.",
        .options = options,
        .words_min = 1,
        .words_max = 2,
        .run = run_call,
    },
    {.name = NULL},
};
