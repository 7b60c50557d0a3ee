/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * An IP address with its port, and host:port lists. */
#ifndef KN_ADDRESS_H
#define KN_ADDRESS_H

#include <kafkac/error.h>

typedef struct kn_address {
    uint8_t ip[16]; /**< network order; IPv4 uses the first four       */
    uint32_t scope; /**< interface of a link-local IPv6 address, or 0  */
    uint16_t port;  /**< host order                                    */
    bool is_v6;
} kn_address;

/** Longest host name DNS allows. */
#define KN_HOST_MAX 255
/** Room for "[ffff:...:255.255.255.255%4294967295]:65535" and its zero byte. */
#define KN_ADDRESS_TEXT_MAX 72

/** IPv4 or IPv6 literal (without brackets, scope allowed); false: a name. Asks nobody. */
bool kn_address_parse(kc_bytes host, uint16_t port, kn_address *out);
/** "10.0.0.7:9092", "[::1]:9092". */
void kn_address_format(const kn_address *address, char out[KN_ADDRESS_TEXT_MAX]);
/** "10.0.0.7", "::1": as kn_address_parse() takes it. */
void kn_address_host(const kn_address *address, char out[KN_ADDRESS_TEXT_MAX]);
bool kn_address_equal(const kn_address *a, const kn_address *b);

/** Take the next "host:port" or "[v6]:port" off a comma-separated list; blanks around and empty
 * items are skipped. KC_ERR_END: none left. KC_ERR_CONFIG: not in that form, *item_out is the
 * culprit. */
KC_NODISCARD kc_err kn_host_port_next(kc_bytes *list, kc_bytes *host_out, uint16_t *port_out,
                                      kc_bytes *item_out);

#endif
