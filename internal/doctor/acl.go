package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
)

const (
	codeUnknownTopic kafka.CodeError = 3
	codeTopicDenied  kafka.CodeError = 29
	codeGroupDenied  kafka.CodeError = 30
)

// permissions checks the user's rights.
func (d *doctor) permissions(ctx context.Context, conn *kafka.ProbeConn, seen *kafka.Permissions) {
	if len(d.Needs) == 0 && len(d.Groups) == 0 {
		d.step(ctx, stepACL, d.Prefix+"*", func(context.Context) (string, error) { return d.visible(seen) })
		return
	}
	for _, n := range d.Needs {
		d.step(ctx, stepACL, "topic "+d.Prefix+n.Stream, func(context.Context) (string, error) { return d.topic(n, seen) })
	}
	for _, group := range d.Groups {
		d.step(ctx, stepACL, "group "+group, func(ctx context.Context) (string, error) { return d.group(ctx, conn, group) })
	}
}

// visible counts the topics that the user may see, read and write.
func (d *doctor) visible(seen *kafka.Permissions) (string, error) {
	var all, reported, read, written int
	for name, t := range seen.Topics {
		if t.Internal || t.Err != nil || !strings.HasPrefix(name, d.Prefix) {
			continue
		}
		all++
		if t.Allowed != 0 {
			reported++
		}
		if t.Allowed&kafka.OperationRead != 0 {
			read++
		}
		if t.Allowed&kafka.OperationWrite != 0 {
			written++
		}
	}
	if all > 0 && reported == 0 {
		return "", &skip{fmt.Sprintf("%d topics can be seen; the brokers do not report the rights on them", all), ""}
	}
	return fmt.Sprintf("%d topics can be seen, %d of them read and %d written (--app checks what an app needs)", all, read,
		written), nil
}

// topic checks the rights on a stream's topic.
func (d *doctor) topic(n Need, seen *kafka.Permissions) (string, error) {
	name := d.Prefix + n.Stream
	needed := map[kafka.Operations]string{kafka.OperationDescribe: "Describe"}
	order := []kafka.Operations{kafka.OperationDescribe}
	if n.Publish {
		needed[kafka.OperationWrite] = "Write"
		order = append(order, kafka.OperationWrite)
	}
	if n.Consume {
		needed[kafka.OperationRead] = "Read"
		order = append(order, kafka.OperationRead)
	}
	t, asked := seen.Topics[name]
	switch {
	case !asked, errors.Is(t.Err, codeUnknownTopic):
		return d.missingTopic(name, n, seen)
	case errors.Is(t.Err, codeTopicDenied):
		var all []string
		for _, o := range order {
			all = append(all, needed[o])
		}
		return "", d.denied("topic", name, all)
	case t.Err != nil:
		return "", t.Err
	case t.Allowed == 0:
		return "", &skip{"the brokers do not report the rights on it", ""}
	}
	var has, lacks []string
	for _, o := range order {
		if t.Allowed&o != 0 {
			has = append(has, needed[o])
		} else {
			lacks = append(lacks, needed[o])
		}
	}
	if len(lacks) > 0 {
		return "", d.denied("topic", name, lacks)
	}
	return "allowed: " + strings.Join(has, ", "), nil
}

// missingTopic handles a topic that does not exist; a publisher may create it.
func (d *doctor) missingTopic(name string, n Need, seen *kafka.Permissions) (string, error) {
	switch {
	case !n.Publish:
		return "the topic does not exist yet: subscriptions wait for it", nil
	case seen.Cluster == 0: // brokers report it only to users with Describe on the cluster
		return "", &skip{"the topic does not exist yet, and the brokers do not report whether this user may create it", ""}
	case seen.Cluster&kafka.OperationCreate == 0:
		return "", &problem{fmt.Errorf("the topic %s does not exist, and this user may not create topics", name),
			"create it (`kafkaesk topics apply` with a user who may), or allow it by " +
				d.command("topic", name, []string{"Create"}) +
				"; a right to create this topic alone cannot be seen from here"}
	}
	return "the topic does not exist yet: the app creates it", nil
}

// group checks the rights on a consumer group. A new cluster creates __consumer_offsets at the first request for a
// coordinator.
func (d *doctor) group(ctx context.Context, conn *kafka.ProbeConn, group string) (string, error) {
	allowed, err := d.askGroup(ctx, conn, group)
	for err != nil && kafka.Classify(err).Retriable() && kafka.Sleep(ctx, 100*time.Millisecond) == nil {
		allowed, err = d.askGroup(ctx, conn, group)
	}
	switch {
	case errors.Is(err, codeGroupDenied):
		return "", d.denied("group", group, []string{"Read"})
	case err != nil:
		return "", err
	case allowed == 0:
		return "", &skip{"the brokers do not report the rights on it", ""}
	case allowed&kafka.OperationRead == 0:
		return "", d.denied("group", group, []string{"Read"})
	}
	return "allowed: Read", nil
}

// askGroup asks the group's coordinator: no other broker knows the group.
func (d *doctor) askGroup(ctx context.Context, conn *kafka.ProbeConn, group string) (kafka.Operations, error) {
	b, err := conn.Coordinator(ctx, group)
	if err != nil {
		return 0, fmt.Errorf("looking for the group's coordinator: %w", err)
	}
	coordinator, err := d.connect(ctx, b)
	if err != nil {
		return 0, fmt.Errorf("connecting to the group's coordinator, broker %d at %s: %w", b.ID, b.Address(), err)
	}
	defer coordinator.Close()
	return coordinator.Group(ctx, group)
}

// connect performs all steps of a connection without reporting them.
func (d *doctor) connect(ctx context.Context, b kafka.Broker) (conn *kafka.ProbeConn, err error) {
	if conn, err = d.probe.Dial(ctx, b.Address()); err != nil {
		return nil, err
	}
	if d.probe.UsesTLS() {
		_, err = conn.Secure(ctx, b.Host)
	}
	if err == nil {
		err = conn.Versions(ctx)
	}
	if err == nil && d.probe.UsesSASL() {
		err = conn.Login(ctx)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

func (d *doctor) denied(kind, name string, operations []string) error {
	return &problem{fmt.Errorf("this user lacks %s on the %s %s", strings.Join(operations, ", "), kind, name),
		"allow it by " + d.command(kind, name, operations)}
}

// command returns the command that grants the rights on Apache Kafka.
func (d *doctor) command(kind, name string, operations []string) string {
	user := d.Settings.SASLUsername
	if user == "" {
		user = "NAME"
	}
	return fmt.Sprintf("kafka-acls --add --allow-principal User:%s --operation %s --%s %s", user,
		strings.Join(operations, " --operation "), kind, name)
}
