package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/tail"
)

// cursorFile is the content of --cursor-file: by topic and partition, the offset of the first record that was not
// printed.
type cursorFile struct {
	Offsets map[string]map[string]int64 `json:"offsets"`
}

// cursor reads the file of --cursor-file, nil if it does not exist yet, and returns the function that writes it.
func (o *options) cursor() (positions map[kafka.TopicPartition]int64,
	save func(map[kafka.TopicPartition]int64) error, err error) {
	if o.cursorFile == "" {
		return nil, nil, nil
	}
	file := cursorFile{Offsets: make(map[string]map[string]int64)}
	text, err := os.ReadFile(o.cursorFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, nil, failure(fmt.Errorf("--cursor-file: %w", err))
	default:
		if err := json.Unmarshal(text, &file); err != nil || file.Offsets == nil {
			return nil, nil, failure(fmt.Errorf("--cursor-file: %s was not written by logtail; "+
				"remove it to begin anew", o.cursorFile))
		}
		positions = make(map[kafka.TopicPartition]int64)
		for topic, partitions := range file.Offsets {
			for id, offset := range partitions {
				n, err := strconv.ParseInt(id, 10, 32)
				if err != nil || offset < 0 {
					return nil, nil, failure(fmt.Errorf("--cursor-file: %s: %s/%s is not a partition", o.cursorFile,
						topic, id))
				}
				if o.match(topic) {
					positions[kafka.TopicPartition{Topic: topic, Partition: int32(n)}] = offset
				}
			}
		}
	}
	return positions, func(at map[kafka.TopicPartition]int64) error {
		for tp, offset := range at {
			if file.Offsets[tp.Topic] == nil {
				file.Offsets[tp.Topic] = make(map[string]int64)
			}
			file.Offsets[tp.Topic][strconv.Itoa(int(tp.Partition))] = offset
		}
		if err := replaceFile(o.cursorFile, file); err != nil {
			return fmt.Errorf("--cursor-file: %s cannot be written: %w", o.cursorFile, reason(err))
		}
		return nil
	}, nil
}

// checkCursor checks that the file can be written before anything is printed.
func (o *options) checkCursor() error {
	if info, err := os.Stat(o.cursorFile); err == nil && info.IsDir() {
		return usageErrorf("--cursor-file: %s is a directory", o.cursorFile)
	}
	f, err := createBeside(o.cursorFile)
	if err != nil {
		return usageErrorf("--cursor-file: %s cannot be written: %w", o.cursorFile, reason(err))
	}
	_ = f.Close()
	_ = os.Remove(f.Name())
	return nil
}

// reason returns an error of package os without the file's name, which is that of a temporary file.
func reason(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	if e, ok := errors.AsType[*os.LinkError](err); ok {
		return e.Err
	}
	return err
}

// createBeside creates a temporary file that can be renamed to path.
func createBeside(path string) (*os.File, error) {
	return os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
}

// startAtCursor reports that the cursor overrides the flags that say where to begin.
func (o *options) startAtCursor() {
	if len(o.startGiven) > 0 {
		o.notice("--cursor-file: %s sets the start: %s %s no effect", o.cursorFile, strings.Join(o.startGiven, ", "),
			map[bool]string{true: "has", false: "have"}[len(o.startGiven) == 1])
	}
	o.startFrom, o.lastLines, o.offset, o.filter.Since = tail.First, -1, nil, 0
}

// replaceFile writes a file atomically: the old content stays until the new one is complete.
func replaceFile(path string, content any) error {
	text, err := json.Marshal(content)
	if err != nil {
		return err
	}
	f, err := createBeside(path)
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
