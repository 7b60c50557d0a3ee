/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Addresses as text. */
#define _DEFAULT_SOURCE // inet_pton, if_nametoindex
#include "net/address.h"

#include "protocol/base/text.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>

static bool parse_scope(const char *scope, uint32_t *out)
{
    uint64_t number;
    if (kb_parse_u64(kc_str(scope), &number) && number > 0 && number <= UINT32_MAX)
        *out = (uint32_t)number;
    else
        *out = if_nametoindex(scope);
    return *out != 0;
}

bool kn_address_parse(kc_bytes host, uint16_t port, kn_address *out)
{
    char text[INET6_ADDRSTRLEN + IF_NAMESIZE + 1];
    if (host.len == 0 || host.len >= sizeof text || memchr(host.ptr, 0, host.len))
        return false;
    memcpy(text, host.ptr, host.len);
    text[host.len] = 0;
    *out = (kn_address){.port = port};
    if (inet_pton(AF_INET, text, out->ip) == 1)
        return true;
    char *percent = strchr(text, '%');
    if (percent)
        *percent++ = 0;
    out->is_v6 = true;
    return inet_pton(AF_INET6, text, out->ip) == 1 &&
           (!percent || parse_scope(percent, &out->scope));
}

void kn_address_host(const kn_address *address, char out[KN_ADDRESS_TEXT_MAX])
{
    char ip[INET6_ADDRSTRLEN];
    if (!inet_ntop(address->is_v6 ? AF_INET6 : AF_INET, address->ip, ip, sizeof ip))
        ip[0] = 0;
    if (address->scope == 0)
        snprintf(out, KN_ADDRESS_TEXT_MAX, "%s", ip);
    else
        snprintf(out, KN_ADDRESS_TEXT_MAX, "%s%%%u", ip, (unsigned)address->scope);
}

void kn_address_format(const kn_address *address, char out[KN_ADDRESS_TEXT_MAX])
{
    char host[KN_ADDRESS_TEXT_MAX]; // never above 56: ffff:...:255.255.255.255%4294967295
    kn_address_host(address, host);
    snprintf(out, KN_ADDRESS_TEXT_MAX, address->is_v6 ? "[%.60s]:%u" : "%.60s:%u", host,
             (unsigned)address->port);
}

bool kn_address_equal(const kn_address *a, const kn_address *b)
{
    return a->is_v6 == b->is_v6 && a->port == b->port && a->scope == b->scope &&
           memcmp(a->ip, b->ip, a->is_v6 ? 16 : 4) == 0;
}

/** Host of one item, and where its ":port" begins; false: not in the form. */
static bool split_item(kc_bytes item, kc_bytes *host, kc_bytes *port)
{
    const uint8_t *end = item.ptr + item.len;
    const uint8_t *colon;
    if (item.ptr[0] == '[') {
        const uint8_t *bracket = memchr(item.ptr, ']', item.len);
        if (!bracket || bracket + 1 == end || bracket[1] != ':')
            return false;
        *host = kc_span(item.ptr + 1, (size_t)(bracket - item.ptr - 1));
        colon = bracket + 1;
        kn_address address;
        if (!kn_address_parse(*host, 0, &address) || !address.is_v6)
            return false;
    } else {
        colon = memchr(item.ptr, ':', item.len);
        if (!colon || memchr(colon + 1, ':', (size_t)(end - colon - 1)))
            return false;
        *host = kc_span(item.ptr, (size_t)(colon - item.ptr));
    }
    *port = kc_span(colon + 1, (size_t)(end - colon - 1));
    return host->len > 0 && host->len <= KN_HOST_MAX;
}

kc_err kn_host_port_next(kc_bytes *list, kc_bytes *host_out, uint16_t *port_out, kc_bytes *item_out)
{
    kc_bytes item;
    do {
        if (!kb_text_split(list, ',', &item))
            return KC_ERR_END;
        item = kb_text_trim(item);
    } while (item.len == 0);
    *item_out = item;
    kc_bytes digits;
    uint64_t port;
    if (!split_item(item, host_out, &digits) || !kb_parse_u64(digits, &port) || port == 0 ||
        port > UINT16_MAX)
        return KC_ERR_CONFIG;
    *port_out = (uint16_t)port;
    return KC_OK;
}
