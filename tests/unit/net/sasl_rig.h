/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A broker of the rig that asks for SASL. */
#ifndef SASL_RIG_H
#define SASL_RIG_H

#include "tests/unit/net/rig.h"
#include "tests/unit/net/sasl_server.h"

/** Keep the books on this request, and answer it where it is of SASL; false: somebody else's. */
bool sasl_rig_serve(sasl_server *server, rig_peer *peer, const kp_request_info *info);

#endif
