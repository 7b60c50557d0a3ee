/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The correlation tracker on a clock and random numbers that are told. */
#include "officeflow/tracker.h"

#include <check.h>
#include <stdio.h>

#define PARENT "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

static int64_t now_ms;
static uint64_t next_random;

static int64_t tell_ms(void *user)
{
    (void)user;
    return now_ms;
}

static uint64_t tell_random(void *user)
{
    (void)user;
    return next_random++ * UINT64_C(0x9e3779b97f4a7c15);
}

static of_tracker *make(void)
{
    now_ms = 1795436102417;
    next_random = 1;
    of_tracker *tracker =
        of_tracker_new(&(of_tracker_clock){.wall_ms = tell_ms, .random = tell_random});
    ck_assert_ptr_nonnull(tracker);
    return tracker;
}

static of_trace create(of_tracker *tracker)
{
    of_trace trace;
    of_trace_attrs attrs = {.organization_id = KC_STR("org-123"),
                            .employee_id = KC_STR("emp-456"),
                            .workflow_run_id = KC_STR("run-789")};
    ck_assert_int_eq(of_tracker_create(tracker, &attrs, &trace), KC_OK);
    return trace;
}

static bool same(kc_bytes a, const char *b)
{
    return kc_bytes_equal(a, kc_str(b));
}

START_TEST(correlation_id_is_a_uuid_of_version_seven_and_the_trace_id)
{
    of_tracker *tracker = make();
    of_trace trace = create(tracker);
    ck_assert_uint_eq(strlen(trace.correlation_id), 36);
    ck_assert_int_eq(trace.correlation_id[14], '7');
    char joined[33];
    size_t len = 0;
    for (const char *c = trace.correlation_id; *c; c++)
        if (*c != '-')
            joined[len++] = *c;
    joined[len] = 0;
    ck_assert_str_eq(trace.trace_id, joined);
    ck_assert_str_eq(trace.parent_id, "");
    ck_assert_uint_eq(strlen(trace.context_id), 16);
    ck_assert_int_eq(trace.trace_flags, 2); // the last 7 bytes are random
    of_tracker_free(tracker);
}
END_TEST

START_TEST(traceparent_is_written_as_w3c_says)
{
    of_tracker *tracker = make();
    of_trace trace = create(tracker), back = {0};
    char text[56], expected[64];
    of_trace_parent(&trace, text);
    snprintf(expected, sizeof expected, "00-%s-%s-02", trace.trace_id, trace.context_id);
    ck_assert_str_eq(text, expected);
    ck_assert(of_traceparent_parse(kc_str(text), &back));
    ck_assert_str_eq(back.trace_id, trace.trace_id);
    ck_assert_str_eq(back.parent_id, trace.context_id);
    of_tracker_free(tracker);
}
END_TEST

START_TEST(child_shares_the_correlation_and_inherits)
{
    of_tracker *tracker = make();
    of_trace parent = create(tracker), child;
    of_trace_attrs more = {.node_run_id = KC_STR("node-run-123")}, attrs;
    ck_assert_int_eq(of_tracker_child(tracker, kc_str(parent.correlation_id), &more, &child),
                     KC_OK);
    ck_assert_str_eq(child.correlation_id, parent.correlation_id);
    ck_assert_str_eq(child.trace_id, parent.trace_id);
    ck_assert_str_eq(child.parent_id, parent.context_id);
    ck_assert_str_ne(child.context_id, parent.context_id);
    ck_assert(of_tracker_attrs(tracker, kc_str(parent.correlation_id), &attrs));
    ck_assert(same(attrs.employee_id, "emp-456") && same(attrs.workflow_run_id, "run-789"));
    ck_assert(same(attrs.organization_id, "org-123") && same(attrs.node_run_id, "node-run-123"));
    ck_assert_int_eq(of_tracker_child(tracker, KC_STR("nobody"), NULL, &child), KC_ERR_NOT_FOUND);
    of_tracker_free(tracker);
}
END_TEST

START_TEST(incoming_traceparent_wins)
{
    of_tracker *tracker = make();
    of_trace trace;
    ck_assert_int_eq(of_tracker_adopt(tracker, KC_STR("corr-1"), KC_STR(PARENT), NULL, &trace),
                     KC_OK);
    ck_assert_str_eq(trace.trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
    ck_assert_str_eq(trace.parent_id, "00f067aa0ba902b7");
    ck_assert_int_eq(trace.trace_flags, 1);
    ck_assert_str_eq(trace.correlation_id, "corr-1");
    of_tracker_free(tracker);
}
END_TEST

START_TEST(adopting_without_traceparent_uses_the_uuids_bytes)
{
    of_tracker *tracker = make();
    of_trace trace;
    ck_assert_int_eq(of_tracker_adopt(tracker, KC_STR("01990f3e-6d0a-7c41-9b1e-5f0c2a7d9e10"),
                                      KC_NULL, NULL, &trace),
                     KC_OK);
    ck_assert_str_eq(trace.trace_id, "01990f3e6d0a7c419b1e5f0c2a7d9e10");
    of_tracker_free(tracker);
}
END_TEST

START_TEST(adopting_again_goes_on_in_the_same_trace)
{
    of_tracker *tracker = make();
    of_trace first, second;
    ck_assert_int_eq(of_tracker_adopt(tracker, KC_STR("plain"), KC_NULL, NULL, &first), KC_OK);
    ck_assert_int_eq(of_tracker_adopt(tracker, KC_STR("plain"), KC_STR("garbage"), NULL, &second),
                     KC_OK);
    ck_assert_str_eq(second.trace_id, first.trace_id);
    ck_assert_str_eq(second.parent_id, first.context_id);
    ck_assert_str_ne(second.context_id, first.context_id);
    of_tracker_free(tracker);
}
END_TEST

START_TEST(ids_that_are_too_long_or_empty_are_refused)
{
    char longest[130];
    of_trace trace;
    of_tracker *tracker = make();
    memset(longest, 'x', sizeof longest);
    ck_assert_int_eq(of_tracker_adopt(tracker, kc_span(longest, 128), KC_NULL, NULL, &trace),
                     KC_OK);
    ck_assert_int_eq(of_tracker_adopt(tracker, kc_span(longest, 129), KC_NULL, NULL, &trace),
                     KC_ERR_ARGUMENT);
    ck_assert_int_eq(of_tracker_adopt(tracker, KC_STR(""), KC_NULL, NULL, &trace), KC_ERR_ARGUMENT);
    ck_assert_int_eq(of_tracker_adopt(tracker, KC_STR("a\0b"), KC_NULL, NULL, &trace),
                     KC_ERR_ARGUMENT);
    of_tracker_free(tracker);
}
END_TEST

START_TEST(bad_traceparents_are_not_taken)
{
    static const char *const bad[] = {
        "",
        "00",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-extra",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",
        "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "0g-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x",
    };
    of_trace trace;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        of_trace before = {.trace_flags = 9};
        trace = before;
        ck_assert_msg(!of_traceparent_parse(kc_str(bad[i]), &trace), "%s", bad[i]);
        ck_assert_mem_eq(&trace, &before, sizeof trace);
    }
    ck_assert(of_traceparent_parse(
        KC_STR("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more"), &trace));
    ck_assert(!of_traceparent_parse(KC_NULL, &trace));
}
END_TEST

START_TEST(events_are_kept_in_order_with_their_time)
{
    of_tracker *tracker = make();
    of_trace trace = create(tracker);
    kc_bytes id = kc_str(trace.correlation_id);
    ck_assert_int_eq(
        of_tracker_record(tracker, id, "workflow-engine", "start-workflow", OF_TRACE_STARTED),
        KC_OK);
    now_ms += 5;
    ck_assert_int_eq(of_tracker_record(tracker, id, "email-service", "send", OF_TRACE_FAILED),
                     KC_OK);
    of_trace_event event;
    ck_assert(of_tracker_event(tracker, id, 0, &event));
    ck_assert_str_eq(event.service, "workflow-engine");
    ck_assert_str_eq(event.operation, "start-workflow");
    ck_assert_int_eq(event.status, OF_TRACE_STARTED);
    ck_assert(of_tracker_event(tracker, id, 1, &event));
    ck_assert_int_eq(event.wall_ms, now_ms);
    ck_assert(!of_tracker_event(tracker, id, 2, &event));
    of_tracker_free(tracker);
}
END_TEST

START_TEST(recording_under_an_unknown_id_makes_a_context)
{
    of_tracker *tracker = make();
    of_trace_event event;
    ck_assert_int_eq(of_tracker_record(tracker, KC_STR("new"), "a", "b", OF_TRACE_PROGRESS), KC_OK);
    ck_assert(of_tracker_event(tracker, KC_STR("new"), 0, &event));
    of_tracker_free(tracker);
}
END_TEST

START_TEST(events_of_a_context_are_limited_and_counted)
{
    of_tracker *tracker = make();
    size_t contexts;
    uint64_t contexts_dropped, events_dropped;
    for (int i = 0; i < OF_CONTEXT_EVENTS_MAX + 10; i++)
        ck_assert_int_eq(of_tracker_record(tracker, KC_STR("c"), "a", "b", OF_TRACE_PROGRESS),
                         KC_OK);
    of_tracker_counts(tracker, &contexts, &contexts_dropped, &events_dropped);
    ck_assert_uint_eq(events_dropped, 10);
    ck_assert_uint_eq(contexts, 1);
    of_tracker_free(tracker);
}
END_TEST

/* C-04 */
START_TEST(twenty_thousand_contexts_leave_the_ten_thousand_used_last)
{
    of_tracker *tracker = make();
    of_trace trace;
    char id[32];
    size_t contexts;
    uint64_t contexts_dropped, events_dropped;
    for (int i = 0; i < 20000; i++) {
        snprintf(id, sizeof id, "c-%d", i);
        ck_assert_int_eq(of_tracker_adopt(tracker, kc_str(id), KC_NULL, NULL, &trace), KC_OK);
        // the very first one is used all the time
        ck_assert_int_eq(of_tracker_adopt(tracker, KC_STR("c-0"), KC_NULL, NULL, &trace), KC_OK);
    }
    of_tracker_counts(tracker, &contexts, &contexts_dropped, &events_dropped);
    ck_assert_uint_eq(contexts, OF_CONTEXTS_MAX);
    ck_assert_uint_eq(contexts_dropped, 10000);
    of_trace_attrs attrs;
    ck_assert(of_tracker_attrs(tracker, KC_STR("c-0"), &attrs));
    ck_assert(of_tracker_attrs(tracker, KC_STR("c-19999"), &attrs));
    ck_assert(!of_tracker_attrs(tracker, KC_STR("c-1"), &attrs));
    of_tracker_free(tracker);
}
END_TEST

START_TEST(contexts_unused_for_an_hour_go)
{
    of_tracker *tracker = make();
    of_trace trace;
    of_trace_attrs attrs;
    ck_assert_int_eq(of_tracker_adopt(tracker, KC_STR("old"), KC_NULL, NULL, &trace), KC_OK);
    now_ms += OF_CONTEXT_TTL_MS + 1;
    ck_assert_int_eq(of_tracker_adopt(tracker, KC_STR("new"), KC_NULL, NULL, &trace), KC_OK);
    ck_assert(!of_tracker_attrs(tracker, KC_STR("old"), &attrs));
    ck_assert(of_tracker_attrs(tracker, KC_STR("new"), &attrs));
    of_tracker_free(tracker);
}
END_TEST

START_TEST(long_texts_are_cut)
{
    char longest[300];
    of_tracker *tracker = make();
    of_trace_event event;
    of_trace trace;
    of_trace_attrs attrs = {.user_id = kc_span(longest, sizeof longest)}, back;
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    ck_assert_int_eq(of_tracker_record(tracker, KC_STR("c"), longest, longest, OF_TRACE_STARTED),
                     KC_OK);
    ck_assert(of_tracker_event(tracker, KC_STR("c"), 0, &event));
    ck_assert_uint_eq(strlen(event.service), 128);
    ck_assert_uint_eq(strlen(event.operation), 128);
    ck_assert_int_eq(of_tracker_create(tracker, &attrs, &trace), KC_OK);
    ck_assert(of_tracker_attrs(tracker, kc_str(trace.correlation_id), &back));
    ck_assert_uint_eq(back.user_id.len, 128);
    of_tracker_free(tracker);
}
END_TEST

START_TEST(ids_made_later_sort_later)
{
    of_tracker *tracker = make();
    char first[37], second[37];
    of_tracker_new_id(tracker, first);
    now_ms++;
    of_tracker_new_id(tracker, second);
    ck_assert_int_lt(strcmp(first, second), 0);
    of_tracker_free(tracker);
}
END_TEST

START_TEST(there_is_one_instance)
{
    ck_assert_ptr_nonnull(of_tracker_instance());
    ck_assert_ptr_eq(of_tracker_instance(), of_tracker_instance());
    ck_assert_str_eq(of_trace_status_name(OF_TRACE_DEAD_LETTERED), "dead_lettered");
}
END_TEST
