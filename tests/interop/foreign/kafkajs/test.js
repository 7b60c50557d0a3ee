// SPDX-License-Identifier: LicenseRef-OfficeFlow
// What KafkaJS wants of a cluster: admin, produce, groups, transactions.
//
// usage: NODE_PATH=FOLDER_OF_KAFKAJS node test.js BOOTSTRAP STEM [PART...]
//
// Topics, groups and transactional ids begin with STEM. A line for each part that went well (all, if none is named), at
// last "done"; what goes wrong ends it with status 1.
'use strict'

const assert = require('assert')
const { Kafka, CompressionTypes, ConfigResourceTypes, logLevel } = require('kafkajs')

const PARTITIONS = 4
const LONGEST_MS = 40000 // that anything may take
const [bootstrap, stem, ...asked] = process.argv.slice(2)
const kafka = new Kafka({
  clientId: 'foreign',
  brokers: bootstrap.split(','),
  logLevel: logLevel.NOTHING,
  retry: { initialRetryTime: 50, retries: 10 },
})
const admin = kafka.admin()

// --- what the parts share ------------------------------------------------------------------------------

const sleep = ms => new Promise(done => setTimeout(done, ms))

async function until(what, done) {
  for (const deadline = Date.now() + LONGEST_MS; !(await done());) {
    assert(Date.now() < deadline, `${what}: not within ${LONGEST_MS} ms`)
    await sleep(20)
  }
}

const numbered = (prefix, count) => Array.from({ length: count }, (_, i) => ({ value: prefix + i, partition: i % PARTITIONS }))
const values = (count, ...prefixes) => prefixes.flatMap(prefix => numbered(prefix, count).map(each => each.value)).sort()

// A topic that was created is known to every broker only a little later.
async function awaitTopic(topic, count) {
  await until(`${topic} is there`, async () => {
    try {
      const { partitions } = (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0]
      return partitions.length === count && partitions.every(each => each.leader >= 0)
    } catch (notYet) {
      return false
    }
  })
}

async function create(name, numPartitions) {
  const topic = `${stem}-${name}`
  assert(await admin.createTopics({ topics: [{ topic, numPartitions, replicationFactor: 1 }] }), `${topic} is there before`)
  await awaitTopic(topic, numPartitions)
  return topic
}

async function withProducer(use, options = {}) {
  const producer = kafka.producer(options)
  await producer.connect()
  try {
    return await use(producer)
  } finally {
    await producer.disconnect()
  }
}

const send = (topic, messages) => withProducer(producer => producer.send({ topic, messages }))

// Reads from the beginning as a group of its own until `count` records are there, and a little longer.
async function readAll(topic, count, readUncommitted) {
  const got = []
  const consumer = kafka.consumer({
    groupId: `${topic}-reader-${readUncommitted}-${count}`, readUncommitted, maxWaitTimeInMs: 100, rebalanceTimeout: 5000,
  })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await consumer.run({ autoCommit: false, eachMessage: async ({ partition, message }) => got.push({ ...message, partition }) })
  await until(`${count} records of ${topic}`, () => got.length >= count)
  await sleep(300)
  await consumer.disconnect()
  return got
}

const texts = records => records.map(each => String(each.value)).sort()

// --- admin ---------------------------------------------------------------------------------------------

async function testAdmin() {
  const cluster = await admin.describeCluster()
  assert(cluster.brokers.length > 0 && cluster.clusterId, 'no brokers or cluster id')
  const topic = `${stem}-admin`
  const wanted = {
    topics: [{ topic, numPartitions: 2, replicationFactor: 1, configEntries: [{ name: 'retention.ms', value: '7654321' }] }],
  }
  assert.strictEqual(await admin.createTopics(wanted), true)
  assert.strictEqual(await admin.createTopics(wanted), false, 'a second creation')
  await awaitTopic(topic, 2)
  assert((await admin.listTopics()).includes(topic), 'topic is not listed')

  const resource = { type: ConfigResourceTypes.TOPIC, name: topic }
  const retention = async () => (await admin.describeConfigs({ includeSynonyms: false, resources: [resource] }))
    .resources[0].configEntries.find(each => each.configName === 'retention.ms').configValue
  assert.strictEqual(await retention(), '7654321')
  await admin.alterConfigs({
    validateOnly: false, resources: [{ ...resource, configEntries: [{ name: 'retention.ms', value: '1234567' }] }],
  })
  await until('altered retention.ms', async () => await retention() === '1234567')
  await admin.createPartitions({ topicPartitions: [{ topic, count: PARTITIONS }] })
  await awaitTopic(topic, PARTITIONS)

  await send(topic, numbered('v', 40))
  const offsets = async () => Object.fromEntries((await admin.fetchTopicOffsets(topic))
    .map(each => [each.partition, [each.low, each.high].join()]))
  assert.deepStrictEqual(await offsets(), { 0: '0,10', 1: '0,10', 2: '0,10', 3: '0,10' })
  await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '4' }] })
  assert.deepStrictEqual(await offsets(), { 0: '4,10', 1: '0,10', 2: '0,10', 3: '0,10' })

  await admin.deleteTopics({ topics: [topic] })
  await until(`${topic} is gone`, async () => !(await admin.listTopics()).includes(topic))
}

// --- produce -------------------------------------------------------------------------------------------

async function produceAndRead(name, settings, options) {
  const topic = await create(`produce-${name}`, 1)
  const sent = Array.from({ length: 300 }, (_, i) => ({
    key: i % 3 === 0 ? null : `key ${i}`,
    value: i % 7 === 0 ? null : 'value '.repeat(i % 50) + i,
    headers: { h: `header ${i}` },
    timestamp: String(1700000000000 + i),
    partition: 0,
  }))
  await withProducer(producer => producer.send({ topic, messages: sent, ...settings }), options)
  const got = await readAll(topic, sent.length, false)
  assert.strictEqual(got.length, sent.length)
  got.forEach((record, i) => {
    const text = bytes => bytes === null ? null : String(bytes)
    assert.deepStrictEqual(
      [record.offset, text(record.key), text(record.value), String(record.headers.h), record.timestamp],
      [String(i), sent[i].key, sent[i].value, sent[i].headers.h, sent[i].timestamp])
  })
}

async function testProduce() {
  await produceAndRead('none', {})
  await produceAndRead('gzip', { compression: CompressionTypes.GZIP })
  await produceAndRead('leader', { acks: 1 })
  await produceAndRead('idempotent', { compression: CompressionTypes.GZIP }, { idempotent: true, maxInFlightRequests: 1 })
}

// --- groups --------------------------------------------------------------------------------------------

// One consumer of a group; it knows its partitions, and commits each record it got.
async function join(topic, groupId, got) {
  const consumer = kafka.consumer({
    groupId, maxWaitTimeInMs: 100, heartbeatInterval: 200, sessionTimeout: 6000, rebalanceTimeout: 6000,
  })
  const member = { assigned: 0, leave: () => consumer.disconnect() }
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    member.assigned = (payload.memberAssignment[topic] || []).length
  })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await consumer.run({
    autoCommitThreshold: 1,
    eachMessage: async ({ message }) => { got.push(message) },
  })
  return member
}

// A member alone, with a second one, and alone again; each record comes to one of them, once.
async function testGroup() {
  const topic = await create('group', PARTITIONS)
  const groupId = `${stem}-group`
  const got = []
  await send(topic, numbered('a', 40))
  const first = await join(topic, groupId, got)
  await until('the first member has all', () => first.assigned === 4 && got.length >= 40)
  const second = await join(topic, groupId, got)
  await until('each member has half', () => first.assigned === 2 && second.assigned === 2)
  const described = (await admin.describeGroups([groupId])).groups[0]
  assert.deepStrictEqual([described.state, described.members.length], ['Stable', 2])
  await send(topic, numbered('b', 40))
  await until('both members read', () => got.length >= 80)
  await second.leave()
  await until('the first member has all again', () => first.assigned === 4)
  await send(topic, numbered('c', 40))
  await until('the first member reads again', () => got.length >= 120)
  assert.deepStrictEqual(texts(got), values(40, 'a', 'b', 'c'))
  await until('all is committed', async () => (await admin.fetchOffsets({ groupId, topics: [topic] }))[0]
    .partitions.every(each => each.offset === '30'))
  await first.leave()
  assert((await admin.listGroups()).groups.some(each => each.groupId === groupId), 'group is not listed')
  await admin.resetOffsets({ groupId, topic, earliest: true })
  const again = []
  const third = await join(topic, groupId, again)
  await until('all is read again', () => again.length >= 120)
  await third.leave()
  await admin.deleteGroups([groupId])
  assert(!(await admin.listGroups()).groups.some(each => each.groupId === groupId), 'group is still listed')
}

// --- transactions --------------------------------------------------------------------------------------

async function testTransactions() {
  const topic = await create('txn', PARTITIONS)
  const options = { transactionalId: `${stem}-txn`, idempotent: true, maxInFlightRequests: 1, transactionTimeout: 20000 }
  const begin = async (producer, prefix) => {
    const transaction = await producer.transaction()
    await transaction.send({ topic, messages: numbered(prefix, 8) })
    return transaction
  }
  await withProducer(async producer => {
    await (await begin(producer, 'committed-')).commit()
    await (await begin(producer, 'aborted-')).abort()
    await (await begin(producer, 'again-')).commit()
    const open = await begin(producer, 'open-')
    assert.deepStrictEqual(texts(await readAll(topic, 16, false)), values(8, 'committed-', 'again-'))
    assert.deepStrictEqual(texts(await readAll(topic, 32, true)), values(8, 'committed-', 'aborted-', 'again-', 'open-'))
    await open.abort()

    // The offsets of a group count exactly when the transaction does.
    const groupId = `${stem}-txn-group`
    for (const end of ['abort', 'commit']) {
      const transaction = await begin(producer, `${end}-`)
      await transaction.sendOffsets({
        consumerGroupId: groupId, topics: [{ topic, partitions: [{ partition: 0, offset: '3' }] }],
      })
      await transaction[end]()
      const offset = async () => (await admin.fetchOffsets({ groupId, topics: [topic] }))[0].partitions
        .find(each => each.partition === 0).offset
      await until(`offset after ${end}`, async () => await offset() === (end === 'commit' ? '3' : '-1'))
    }
  }, options)
  assert.deepStrictEqual(texts(await readAll(topic, 24, false)), values(8, 'committed-', 'again-', 'commit-'))
}

// --- all -----------------------------------------------------------------------------------------------

async function main() {
  const parts = { admin: testAdmin, produce: testProduce, groups: testGroup, transactions: testTransactions }
  await admin.connect()
  for (const [name, test] of Object.entries(parts)) {
    if (asked.length && !asked.includes(name)) {
      continue
    }
    const begun = Date.now()
    await test()
    console.log(`${name} after ${Date.now() - begun} ms`)
  }
  await admin.disconnect()
  console.log('done')
}

main().catch(failure => {
  console.error(failure)
  process.exit(1)
})
