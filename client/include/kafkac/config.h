/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Configuration: the Java client's property names, one table that checks, defaults and documents
 * them (docs/configuration.md is printed from it). */
#ifndef KAFKAC_CONFIG_H
#define KAFKAC_CONFIG_H

#include <kafkac/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A set of properties. Belongs to the caller; copied by whatever is opened with it. Not
 * thread-safe. */
typedef struct kc_config kc_config;

/** Empty: every property at its default. NULL out of memory. */
KC_API KC_NODISCARD kc_config *kc_config_new(void);
KC_API KC_NODISCARD kc_config *kc_config_copy(const kc_config *config);
/** NULL is allowed. */
KC_API void kc_config_free(kc_config *config);

/**
 * Set one property by name.
 *
 * @param value  As text: numbers in decimal, booleans true or false, lists with commas.
 * @retval KC_OK
 * @retval KC_ERR_CONFIG  Unknown name (the error names the nearest known one), or a value out of
 * range (the error says what is allowed).
 * @retval KC_ERR_NOMEM
 */
KC_API KC_NODISCARD kc_err kc_config_set(kc_config *config, const char *name, const char *value,
                                         kc_error *err);

/** Read `name=value` lines; # and ! begin a comment line. Errors name file and line. Also
 * KC_ERR_IO. */
KC_API KC_NODISCARD kc_err kc_config_load(kc_config *config, const char *path, kc_error *err);

/** The value in force as text (the default where not set); NULL: unknown name. Secrets read
 * "[hidden]". Valid until the next call on this config. */
KC_API const char *kc_config_get(kc_config *config, const char *name);
/** True when set by the caller, not defaulted. */
KC_API bool kc_config_is_set(const kc_config *config, const char *name);

/** One row of the table; index from 0; NULL behind the last. Static storage. */
typedef struct kc_property {
    const char *name;
    const char *type;          /**< string, int, long, boolean, list, double, password */
    const char *default_value; /**< NULL: none                                     */
    const char *allowed;       /**< "[0, 900000]", "all, -1, 0, 1", "" for any     */
    const char *scope;         /**< client, producer, consumer                     */
    const char *doc;           /**< one or two sentences                           */
} kc_property;
KC_API const kc_property *kc_config_property(size_t index);

#ifdef __cplusplus
}
#endif
#endif
