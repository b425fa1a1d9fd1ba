package kafkatest

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

// PutManyHeaders writes a batch of a few kilobytes to partition 0 of an existing topic: a record with n headers
// without names and values, and then a record whose value is "behind".
func (c *Cluster) PutManyHeaders(t testing.TB, topic string, n int) {
	t.Helper()
	var packed bytes.Buffer
	zip, err := zstd.NewWriter(&packed, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	head := []byte{0, 0, 0, 1, 1} // attributes, time, offset, no key, no value
	head = binary.AppendVarint(head, int64(n))
	_, _ = zip.Write(binary.AppendVarint(nil, int64(len(head)+2*n)))
	_, _ = zip.Write(head)
	_, _ = io.CopyN(zip, zeros{}, int64(2*n))
	behind := append([]byte{0, 0, 2, 1, 2 * 6}, "behind\x00"...)
	_, _ = zip.Write(append(binary.AppendVarint(nil, int64(len(behind))), behind...))
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	now := time.Now().UnixMilli()
	batch := kmsg.RecordBatch{
		Length: int32(49 + packed.Len()), Magic: 2, Attributes: 4, LastOffsetDelta: 1, FirstTimestamp: now, MaxTimestamp: now,
		ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, NumRecords: 2, Records: packed.Bytes(),
	}
	raw := batch.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	request := kmsg.NewPtrProduceRequest()
	request.Acks, request.TimeoutMillis = -1, 10_000
	in := kmsg.NewProduceRequestTopic()
	in.Topic = topic
	partition := kmsg.NewProduceRequestTopicPartition()
	partition.Records = raw
	in.Partitions = append(in.Partitions, partition)
	request.Topics = append(request.Topics, in)
	// the last version that names topics
	old, err := kgo.NewClient(kgo.SeedBrokers(c.Servers()...), kgo.MaxVersions(kversion.V2_8_0()))
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	testkit.Until(t, "a batch of many headers is written", func() bool {
		response, err := request.RequestWith(t.Context(), old)
		return err == nil && response.Topics[0].Partitions[0].ErrorCode == 0
	})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
