/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Faults on purpose: which requests are delayed, refused, answered wrongly, or cost the connection. */
#ifndef KM_FAULT_H
#define KM_FAULT_H

#include "mock/request.h"

/** What becomes of the connection. */
typedef enum km_fault_end {
    KM_FAULT_ANSWER,       /**< it is answered                                             */
    KM_FAULT_CLOSE_BEFORE, /**< closed, nothing was done                                   */
    KM_FAULT_CLOSE_AFTER,  /**< done, and closed in place of the answer                    */
    KM_FAULT_DROP,         /**< done, the answer never comes; the connection stays and waits */
} km_fault_end;

/** A rule. The first one that fits a request is used. */
typedef struct km_fault {
    /* which requests */
    int16_t api_key;   /**< -1: any                              */
    int32_t broker_id; /**< 0: any                               */
    uint32_t skip;     /**< let so many pass first               */
    uint32_t every;    /**< then every so-many-th; 0 and 1: each */
    uint32_t count;    /**< at most so often; 0: for ever        */
    /* what happens */
    int64_t delay_us;        /**< before it is served            */
    int64_t answer_delay_us; /**< after                          */
    int16_t error;           /**< 0: none. Nothing is done, the answer says this wherever it can */
    int32_t
        throttle_ms; /**< told in the answer, and no further request of the connection is read for so long */
    km_fault_end end;
    /** Change the decoded answer (kp_..._resp); new pieces come from km_request_alloc(). */
    void (*rewrite)(km_request *request, void *response, void *user);
    void *user;
} km_fault;

/** A rule that fits each request and does nothing. */
void km_fault_init(km_fault *fault);
/** Its number, for km_fault_remove(); 0: no memory. */
uint32_t km_fault_add(km_cluster *cluster, const km_fault *fault);
void km_fault_remove(km_cluster *cluster, uint32_t number);
void km_fault_clear(km_cluster *cluster);
/** How many requests it met so far. */
uint32_t km_fault_hits(const km_cluster *cluster, uint32_t number);

/** What is to happen to this request, counted; false: nothing. */
bool km_fault_match(const km_request *request, km_fault *fault_out);

#endif
