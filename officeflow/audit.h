/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What operators did, as events on audit.events. */
#ifndef OF_AUDIT_H
#define OF_AUDIT_H

#include "officeflow/outbox.h"

/** Write one audit event of the platform itself. `payload` is a JSON object, copied. As
 * of_outbox_write(). */
KC_NODISCARD kc_err of_audit_write(of_platform *platform, of_outbox *outbox, kc_bytes payload,
                                   of_written_fn fn, void *user, kc_error *err);

#endif
