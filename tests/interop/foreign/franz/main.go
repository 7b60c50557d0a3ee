// SPDX-License-Identifier: LicenseRef-OfficeFlow

// What franz-go wants of a cluster: admin, produce, groups, transactions.
//
// usage: franz BOOTSTRAP STEM [PART...]
//
// Topics, groups and transactional ids begin with STEM. A line for each part that went well (all, if none is named), at
// last "done"; what goes wrong ends it with a panic. It uses only what old and new releases of franz-go have (see
// go-1.19.mod).
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sort"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	partitions  = 4
	longestWait = 40 * time.Second // that anything may take
	pollTime    = 50 * time.Millisecond
)

var (
	bootstrap []string
	stem      string
	admin     *kadm.Client
)

// --- what the parts share ------------------------------------------------------------------------------

func check(good bool, format string, arguments ...any) {
	if !good {
		panic(fmt.Sprintf(format, arguments...))
	}
}

func must(err error, what string) {
	check(err == nil, "%s: %v", what, err)
}

func await(what string, done func() bool) {
	for deadline := time.Now().Add(longestWait); !done(); {
		check(time.Now().Before(deadline), "%s: not within %v", what, longestWait)
	}
}

func newClient(options ...kgo.Opt) *kgo.Client {
	always := []kgo.Opt{
		kgo.SeedBrokers(bootstrap...), kgo.FetchMaxWait(100 * time.Millisecond),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.MetadataMinAge(100 * time.Millisecond),
	}
	client, err := kgo.NewClient(append(always, options...)...)
	must(err, "client")
	return client
}

func ctx() context.Context {
	return context.Background()
}

func create(name string, count int32) string {
	topic := stem + "-" + name
	answer, err := admin.CreateTopics(ctx(), count, 1, nil, topic)
	must(err, "create")
	must(answer[topic].Err, "create "+topic)
	awaitTopic(topic, int(count))
	return topic
}

// A topic that was created is known to every broker only a little later.
func awaitTopic(topic string, count int) {
	await(topic+" is there", func() bool {
		listed, err := admin.ListTopics(ctx(), topic)
		must(err, "list topics")
		all := listed[topic].Partitions
		for _, partition := range all {
			if partition.Err != nil || partition.Leader < 0 {
				return false
			}
		}
		return len(all) == count
	})
}

// A poll that gives up early; fetches that fail end the program.
func poll(client *kgo.Client) []*kgo.Record {
	limited, cancel := context.WithTimeout(ctx(), pollTime)
	defer cancel()
	fetches := client.PollFetches(limited)
	for _, failed := range fetches.Errors() {
		check(errors.Is(failed.Err, context.DeadlineExceeded), "fetch of %s/%d: %v", failed.Topic, failed.Partition, failed.Err)
	}
	return fetches.Records()
}

func produce(client *kgo.Client, records ...*kgo.Record) {
	for _, result := range client.ProduceSync(ctx(), records...) {
		must(result.Err, "produce to "+result.Record.Topic)
	}
}

func numbered(topic, prefix string, count int) []*kgo.Record {
	records := make([]*kgo.Record, count)
	for i := range records {
		records[i] = &kgo.Record{Topic: topic, Partition: int32(i % partitions), Value: []byte(fmt.Sprintf("%s%d", prefix, i))}
	}
	return records
}

func manual() kgo.Opt {
	return kgo.RecordPartitioner(kgo.ManualPartitioner())
}

func values(records []*kgo.Record) string {
	texts := make([]string, len(records))
	for i, record := range records {
		texts[i] = string(record.Value)
	}
	sort.Strings(texts)
	return strings.Join(texts, " ")
}

func wantedValues(count int, prefixes ...string) string {
	var all []*kgo.Record
	for _, prefix := range prefixes {
		all = append(all, numbered("", prefix, count)...)
	}
	return values(all)
}

// --- admin ---------------------------------------------------------------------------------------------

func testAdmin() {
	brokers, err := admin.ListBrokers(ctx())
	must(err, "list brokers")
	check(len(brokers) > 0, "no brokers")
	topic := stem + "-admin"
	retention := "7654321"
	configs := map[string]*string{"retention.ms": &retention}
	answer, err := admin.CreateTopics(ctx(), 2, 1, configs, topic)
	must(err, "create")
	must(answer[topic].Err, "create "+topic)
	awaitTopic(topic, 2)
	answer, err = admin.CreateTopics(ctx(), 2, 1, configs, topic)
	must(err, "create again")
	check(errors.Is(answer[topic].Err, kerr.TopicAlreadyExists), "a second creation: %v", answer[topic].Err)

	described, err := admin.DescribeTopicConfigs(ctx(), topic)
	must(err, "describe configs")
	found := false
	for _, config := range described[0].Configs {
		found = found || config.Key == "retention.ms" && config.MaybeValue() == retention
	}
	check(found, "retention.ms is not %s in %v", retention, described)

	grown, err := admin.CreatePartitions(ctx(), 2, topic)
	must(err, "create partitions")
	must(grown[topic].Err, "create partitions of "+topic)
	awaitTopic(topic, partitions)

	writer := newClient(manual())
	defer writer.Close()
	produce(writer, numbered(topic, "v", 40)...)
	ends, err := admin.ListEndOffsets(ctx(), topic)
	must(err, "list end offsets")
	for i := int32(0); i < partitions; i++ {
		check(ends[topic][i].Offset == 10, "end of %d: %v", i, ends[topic][i])
	}

	deleted, err := admin.DeleteTopics(ctx(), topic)
	must(err, "delete")
	must(deleted[topic].Err, "delete "+topic)
	await(topic+" is gone", func() bool {
		listed, err := admin.ListTopics(ctx())
		must(err, "list topics")
		return !listed.Has(topic)
	})
}

// --- produce -------------------------------------------------------------------------------------------

func testProduce() {
	codecs := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
	for name, codec := range codecs {
		produceAndRead(create("produce-"+name, 1), kgo.ProducerBatchCompression(codec))
	}
	produceAndRead(create("produce-leader", 1), kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite())
}

func produceAndRead(topic string, options ...kgo.Opt) {
	var sent []*kgo.Record
	for i := 0; i < 300; i++ {
		record := &kgo.Record{
			Topic: topic, Key: []byte(fmt.Sprintf("key %d", i)), Value: []byte(strings.Repeat("value ", i%50)),
			Headers:   []kgo.RecordHeader{{Key: "h", Value: []byte(fmt.Sprintf("header %d", i))}},
			Timestamp: time.UnixMilli(1_700_000_000_000 + int64(i)),
		}
		if i%7 == 0 {
			record.Value = nil
		}
		sent = append(sent, record)
	}
	writer := newClient(options...)
	defer writer.Close()
	produce(writer, sent...)
	reader := newClient(kgo.ConsumeTopics(topic))
	defer reader.Close()
	var got []*kgo.Record
	await("records of "+topic, func() bool {
		got = append(got, poll(reader)...)
		return len(got) >= len(sent)
	})
	check(len(got) == len(sent), "%s: %d records", topic, len(got))
	for i, record := range got {
		wanted := sent[i]
		good := record.Offset == int64(i) && string(record.Key) == string(wanted.Key) &&
			string(record.Value) == string(wanted.Value) && (record.Value == nil) == (wanted.Value == nil) &&
			record.Timestamp.Equal(wanted.Timestamp) && len(record.Headers) == 1 &&
			string(record.Headers[0].Value) == string(wanted.Headers[0].Value)
		check(good, "%s: record %d is %v, wanted %v", topic, i, record, wanted)
	}
}

// --- groups --------------------------------------------------------------------------------------------

// One consumer of a group; it counts its partitions, and commits what it polled at once.
type member struct {
	client *kgo.Client
	got    *[]*kgo.Record
}

func join(topic, group string, got *[]*kgo.Record, options ...kgo.Opt) *member {
	return &member{newClient(append(options, kgo.ConsumeTopics(topic), kgo.ConsumerGroup(group),
		kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(), kgo.HeartbeatInterval(200*time.Millisecond))...), got}
}

func (m *member) poll() {
	records := poll(m.client)
	*m.got = append(*m.got, records...)
	if len(records) > 0 {
		must(m.client.CommitRecords(ctx(), records...), "commit")
	}
	m.client.AllowRebalance()
}

func describedMembers(group string) map[string]int {
	described, err := admin.DescribeGroups(ctx(), group)
	must(err, "describe group")
	counts := map[string]int{}
	for _, each := range described[group].Members {
		assigned, isConsumer := each.Assigned.AsConsumer()
		if !isConsumer {
			continue
		}
		for _, topic := range assigned.Topics {
			counts[each.MemberID] += len(topic.Partitions)
		}
	}
	return counts
}

// A member alone, with a second one, and alone again; each record comes to one of them, once. What the members have
// is asked of `assigned`, the number of partitions of each.
func testGroup(name string, assigned func(group string) map[string]int, options ...kgo.Opt) {
	topic, group := create("group-"+name, partitions), stem+"-"+name
	writer := newClient(manual())
	defer writer.Close()
	var got []*kgo.Record
	stage := func(what string, count int, share []int, members ...*member) {
		await(group+": "+what, func() bool {
			for _, each := range members {
				each.poll()
			}
			if len(got) < count {
				return false
			}
			counts := assigned(group)
			if len(counts) != len(share) {
				return false
			}
			for _, each := range counts {
				if each != share[0] {
					return false
				}
			}
			return true
		})
	}
	produce(writer, numbered(topic, "a", 40)...)
	first := join(topic, group, &got, options...)
	defer first.client.CloseAllowingRebalance()
	stage("the first member has all", 40, []int{4}, first)
	second := join(topic, group, &got, options...)
	stage("each member has half", 40, []int{2, 2}, first, second)
	produce(writer, numbered(topic, "b", 40)...)
	stage("both members read", 80, []int{2, 2}, first, second)
	second.client.CloseAllowingRebalance()
	stage("the first member has all again", 80, []int{4}, first)
	produce(writer, numbered(topic, "c", 40)...)
	stage("the first member reads again", 120, []int{4}, first)

	check(values(got) == wantedValues(40, "a", "b", "c"), "%s: got %d values: %s", group, len(got), values(got))
	committed, err := admin.FetchOffsets(ctx(), group)
	must(err, "fetch offsets")
	for i := int32(0); i < partitions; i++ {
		offset, there := committed.Lookup(topic, i)
		check(there && offset.At == 30, "%s: committed of %d: %v", group, i, offset)
	}
	listed, err := admin.ListGroups(ctx())
	must(err, "list groups")
	_, there := listed[group]
	check(there, "%s is not listed", group)
	first.client.CloseAllowingRebalance()
	deleteGroup(group)
}

// It goes once its last member has left.
func deleteGroup(group string) {
	await(group+" is deleted", func() bool {
		answer, err := admin.DeleteGroups(ctx(), group)
		must(err, "delete groups")
		err = answer[group].Err
		check(err == nil || errors.Is(err, kerr.NonEmptyGroup), "delete group: %v", err)
		return err == nil
	})
}

func testGroups() {
	testGroup("cooperative", describedMembers, kgo.Balancers(kgo.CooperativeStickyBalancer()))
	testGroup("range", describedMembers, kgo.Balancers(kgo.RangeBalancer()))
}

// --- transactions --------------------------------------------------------------------------------------

func readAll(topic string, count int, level kgo.IsolationLevel) string {
	reader := newClient(kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(level))
	defer reader.Close()
	var got []*kgo.Record
	await("read of "+topic, func() bool {
		got = append(got, poll(reader)...)
		return len(got) >= count
	})
	for quiet := 0; quiet < 4; quiet++ { // nothing more comes
		got = append(got, poll(reader)...)
	}
	return values(got)
}

func inTransaction(client *kgo.Client, how kgo.TransactionEndTry, records ...*kgo.Record) {
	must(client.BeginTransaction(), "begin")
	produce(client, records...)
	must(client.EndTransaction(ctx(), how), "end")
}

func testTransactions() {
	topic := create("txn", partitions)
	id := kgo.TransactionalID(stem + "-txn")
	first := newClient(id, manual())
	defer first.Close()
	inTransaction(first, kgo.TryCommit, numbered(topic, "committed-", 8)...)
	inTransaction(first, kgo.TryAbort, numbered(topic, "aborted-", 8)...)
	inTransaction(first, kgo.TryCommit, numbered(topic, "again-", 8)...)
	must(first.BeginTransaction(), "begin")
	produce(first, numbered(topic, "open-", 8)...)
	committed := readAll(topic, 16, kgo.ReadCommitted())
	check(committed == wantedValues(8, "committed-", "again-"), "read_committed: %s", committed)
	all := readAll(topic, 32, kgo.ReadUncommitted())
	check(all == wantedValues(8, "committed-", "aborted-", "again-", "open-"), "read_uncommitted: %s", all)

	second := newClient(id, manual())
	defer func() { second.Close() }()
	await("a second producer of the id", func() bool { // old releases give up where the open transaction must end first
		err := second.BeginTransaction()
		if err != nil {
			second.Close()
			second = newClient(id, manual())
		}
		return err == nil
	})
	produce(second, numbered(topic, "second-", 8)...)
	must(second.EndTransaction(ctx(), kgo.TryCommit), "end")
	fenced := first.ProduceSync(ctx(), &kgo.Record{Topic: topic, Value: []byte("fenced")}).FirstErr()
	if fenced == nil {
		fenced = first.EndTransaction(ctx(), kgo.TryCommit)
	}
	check(errors.Is(fenced, kerr.ProducerFenced) || errors.Is(fenced, kerr.InvalidProducerEpoch) ||
		errors.Is(fenced, kerr.InvalidTxnState), "the first producer is not fenced: %v", fenced)
	committed = readAll(topic, 24, kgo.ReadCommitted())
	check(committed == wantedValues(8, "committed-", "again-", "second-"), "read_committed at last: %s", committed)
	testSession(topic)
}

// Read, process, write: the first attempt is aborted, and nothing of it counts; the second one, from the same offsets, is
// committed.
func testSession(source string) {
	target, group := create("txn-out", partitions), stem+"-txn-group"
	session, err := kgo.NewGroupTransactSession(
		kgo.SeedBrokers(bootstrap...), kgo.TransactionalID(stem+"-processor"), kgo.ConsumeTopics(source),
		kgo.ConsumerGroup(group), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.RequireStableFetchOffsets(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(100*time.Millisecond))
	must(err, "session")
	defer session.Close()
	how := kgo.TryAbort
	processed := 0
	await("records to process", func() bool {
		limited, cancel := context.WithTimeout(ctx(), time.Second)
		defer cancel()
		records := session.PollFetches(limited).Records()
		if len(records) == 0 {
			return false
		}
		must(session.Begin(), "begin")
		for _, record := range records {
			session.Produce(ctx(), &kgo.Record{Topic: target, Value: record.Value}, nil)
		}
		ended, err := session.End(ctx(), how)
		must(err, "end of a transaction of a session")
		check(ended == bool(how), "the transaction ended with %v", ended)
		await("the offsets count when the transaction does", func() bool { // not before its markers are written
			offsets, err := admin.FetchOffsets(ctx(), group)
			must(err, "fetch offsets")
			for _, record := range records {
				offset, there := offsets.Lookup(source, record.Partition)
				if (there && offset.At > record.Offset) != ended {
					check(ended, "offset of %d after an abort: %v", record.Partition, offset)
					return false
				}
			}
			return true
		})
		if ended {
			processed += len(records)
		}
		how = kgo.TryCommit
		return processed >= 24
	})
	got := readAll(target, 24, kgo.ReadCommitted())
	check(got == wantedValues(8, "committed-", "again-", "second-"), "what was processed: %s", got)
}

// --- all -----------------------------------------------------------------------------------------------

func part(name string, run func()) {
	if asked := os.Args[3:]; len(asked) > 0 && !strings.Contains(" "+strings.Join(asked, " ")+" ", " "+name+" ") {
		return
	}
	begun := time.Now()
	run()
	fmt.Printf("%s after %d ms\n", name, time.Since(begun).Milliseconds())
}

func main() {
	bootstrap, stem = strings.Split(os.Args[1], ","), os.Args[2]
	admin = kadm.NewClient(newClient())
	defer admin.Close()
	part("admin", testAdmin)
	part("produce", testProduce)
	part("groups", testGroups)
	part("transactions", testTransactions)
	testNewer()
	fmt.Println("done")
}
