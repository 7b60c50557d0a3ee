/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The rows of the property table: what each is called, where it goes, what it may be. */
#ifndef KC_CONFIG_TABLE_H
#define KC_CONFIG_TABLE_H

#include "client/settings.h"

typedef enum kc_kind {
    KC_KIND_STRING,
    KC_KIND_INT,
    KC_KIND_LONG,
    KC_KIND_BOOLEAN,
    KC_KIND_DOUBLE,    /**< min and max of the row in thousandths                            */
    KC_KIND_LIST,      /**< text with commas; each piece one of `words`, where there are any */
    KC_KIND_WORD_INT,  /**< one of `words`, its number goes into an int32_t or enum          */
    KC_KIND_WORD_BOOL, /**< the same into a bool                                             */
    KC_KIND_WORD_TEXT, /**< the same, but the word itself                                    */
} kc_kind;

/** A word a property may be. */
typedef struct kc_word {
    const char *name;
    int32_t value;
    const char *alias;   /**< what Java users write for it, a class name; NULL: none         */
    const char *refusal; /**< why it can't be chosen in this release; NULL: it can           */
} kc_word;

typedef struct kc_config_row {
    kc_property property;
    kc_kind kind;
    uint16_t offset;   /**< in kc_settings                             */
    bool may_be_empty; /**< of a string or list; else empty is refused */
    bool is_secret;    /**< never shown, wiped when given back         */
    int64_t min, max;
    const kc_word *words; /**< up to a NULL name; NULL: any text          */
} kc_config_row;

extern const kc_config_row kc_config_rows[];
extern const size_t kc_config_row_count;

/** A property of the Java client that has no row: why, and what to do. NULL: no such property
 * either. */
const char *kc_config_refusal(kc_bytes name);
/** The row's name for another spelling of it; NULL: none. */
const char *kc_config_alias(kc_bytes name);

#endif
