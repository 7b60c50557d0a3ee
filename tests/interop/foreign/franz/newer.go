// SPDX-License-Identifier: LicenseRef-OfficeFlow

//go:build go1.26

package main

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// What only new releases of franz-go have: the groups of KIP-848 and KIP-932.
func testNewer() {
	part("consumer-groups", func() {
		alterGroup(stem+"-uniform", "consumer.heartbeat.interval.ms", "500") // or each step takes seconds
		testGroup("uniform", consumerMembers, kgo.ServerSideBalancer(), kgo.Balancers(kgo.StickyBalancer()))
	})
	part("share", testShare)
}

func consumerMembers(group string) map[string]int {
	described, err := admin.DescribeConsumerGroups(ctx(), group)
	must(err, "describe consumer group")
	counts := map[string]int{}
	for _, each := range described[group].Members {
		for _, topic := range each.Assignment {
			counts[each.MemberID] += len(topic)
		}
	}
	return counts
}

// The configuration of a group, for which kadm has no call.
func alterGroup(group, name, value string) {
	config := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	config.Name, config.Value = name, &value
	resource := kmsg.NewIncrementalAlterConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeGroupConfig, group
	resource.Configs = append(resource.Configs, config)
	request := kmsg.NewPtrIncrementalAlterConfigsRequest()
	request.Resources = append(request.Resources, resource)
	client := newClient()
	defer client.Close()
	answer, err := request.RequestWith(ctx(), client)
	must(err, "alter group config")
	must(kerr.ErrorForCode(answer.Resources[0].ErrorCode), "alter config of "+group)
}

// Records that are released come again; those accepted or rejected do not.
func testShare() {
	topic, group := create("share", partitions), stem+"-share"
	alterGroup(group, "share.auto.offset.reset", "earliest")
	alterGroup(group, "share.heartbeat.interval.ms", "500")
	writer := newClient(manual())
	defer writer.Close()
	produce(writer, numbered(topic, "s", 40)...)
	acknowledged := func(_ *kgo.Client, results kgo.ShareAckResults) { must(results.Error(), "acknowledge") }
	reader, err := kgo.NewClient(kgo.SeedBrokers(bootstrap...), kgo.ConsumeTopics(topic), kgo.ShareGroup(group),
		kgo.FetchMaxWait(100*time.Millisecond), kgo.ShareAckCallback(acknowledged))
	must(err, "share client")
	defer reader.Close()
	var done []*kgo.Record
	deliveries := map[string]int{}
	await("share of records", func() bool {
		for _, record := range poll(reader) {
			name := string(record.Value)
			deliveries[name]++
			switch {
			case record.Offset%3 == 0 && deliveries[name] == 1:
				record.Ack(kgo.AckRelease)
				continue
			case record.Offset%5 == 1:
				record.Ack(kgo.AckReject)
			default:
				record.Ack(kgo.AckAccept)
			}
			done = append(done, record)
		}
		return len(done) >= 40
	})
	limited, cancel := context.WithTimeout(ctx(), longestWait)
	defer cancel()
	must(reader.FlushAcks(limited), "flush of acknowledgements")
	check(values(done) == wantedValues(40, "s"), "share: %s", values(done))
	for _, record := range done {
		wanted := 1
		if record.Offset%3 == 0 {
			wanted = 2
		}
		check(deliveries[string(record.Value)] == wanted, "%s came %d times", record.Value, deliveries[string(record.Value)])
	}
}
