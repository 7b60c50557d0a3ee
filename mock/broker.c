/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * A broker's process ends and begins. */
#include "mock/broker.h"

#include "mock/conn.h"

void km_broker_cut(km_broker *broker)
{
    km_conn_cut_all(broker);
}

void km_broker_stop(km_broker *broker, bool loses_unflushed)
{
    if (broker->is_down)
        return;
    broker->is_down = true;
    /* First the connections: a record that is lost is not acknowledged any more. */
    km_conn_cut_all(broker);
    if (broker->on_state)
        broker->on_state(broker, broker->carrier);
    km_leaders_leave(broker->cluster, broker->id, loses_unflushed);
    km_changed(broker->cluster);
}

void km_broker_start(km_broker *broker)
{
    if (!broker->is_down)
        return;
    broker->is_down = false;
    km_leaders_return(broker->cluster);
    if (broker->on_state)
        broker->on_state(broker, broker->carrier);
    km_changed(broker->cluster);
}
