/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The fixture itself: a real broker answers where it is said to be. */
#include "tests/broker/broker.h"

#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int connect_to_first(const char *list)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    const char *colon = strchr(list, ':');
    ck_assert_ptr_nonnull(colon);
    char host[64] = "";
    ck_assert_uint_lt((size_t)(colon - list), sizeof(host));
    memcpy(host, list, (size_t)(colon - list));
    ck_assert_int_eq(inet_pton(AF_INET, host, &address.sin_addr), 1);
    address.sin_port = htons((uint16_t)strtol(colon + 1, NULL, 10));
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

START_TEST(broker_answers_api_versions)
{
    static const uint8_t request[] = {0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff};
    int fd = connect_to_first(broker_list());
    ck_assert_int_eq(send(fd, request, sizeof(request), 0), sizeof(request));
    uint8_t head[10];
    ck_assert_int_eq(recv(fd, head, sizeof(head), MSG_WAITALL), sizeof(head));
    static const uint8_t correlation_and_no_error[] = {0, 0, 0, 7, 0, 0};
    ck_assert_mem_eq(head + 4, correlation_and_no_error, sizeof(correlation_and_no_error));
    close(fd);
}
END_TEST

START_TEST(secure_listeners_have_ports_of_their_own)
{
    static const char *const listeners[] = {"SSL", "MTLS", "SASL_PLAINTEXT", "SASL_SSL",
                                            "SASL_REAUTH"};
    char path[4096];
    for (size_t i = 0; i < sizeof(listeners) / sizeof(listeners[0]); i++) {
        ck_assert_str_ne(broker_list_of(listeners[i]), broker_list());
        close(connect_to_first(broker_list_of(listeners[i])));
    }
    snprintf(path, sizeof(path), "%s/ca.pem", broker_tls_folder());
    ck_assert_int_eq(access(path, R_OK), 0);
}
END_TEST

START_TEST(tool_reaches_the_same_cluster)
{
    char topic[64];
    char output[65536];
    broker_list();
    broker_unique_name(topic, sizeof(topic), "fixture");
    broker_create_topic(topic, 2, 1);
    const char *const list[] = {"tool", "topics", "--list", NULL};
    ck_assert_int_eq(broker_command(output, sizeof(output), list), 0);
    ck_assert_ptr_nonnull(strstr(output, topic));
}
END_TEST
