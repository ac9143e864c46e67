// Measures Go parsers for benchmarks/foreign.py, by the protocol of node/parsers.mjs: one
// JSON command per line on standard input, one JSON answer per line on standard output.
//
// As in Python, the garbage collector is on, and runs before each sample. A parser reads from
// an io.Reader, which returns each read as the network would, or as much of it as fits.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	donovanhide "github.com/donovanhide/eventsource"
	launchdarkly "github.com/launchdarkly/eventsource"
	"github.com/openai/openai-go/v3/packages/ssestream"
	"github.com/tmaxmax/go-sse"
)

// Larger than any event of the workloads, for parsers that have a limit.
const maxEventSize = 1 << 25

// An event as the parser reports it: event, data, id, which is nil if it reports none.
type view [3]any

type outcome struct {
	Events []view `json:"events"`
	Retry  *int64 `json:"retry"`
}

func (o *outcome) add(event, data string, id any, retry int64) {
	if event == "" {
		event = "message"
	}
	o.Events = append(o.Events, view{event, data, id})
	if retry > 0 {
		o.Retry = &retry
	}
}

type parser struct {
	Name             string `json:"name"`
	Version          string `json:"version"`
	TellsRetry       bool   `json:"tellsRetry"`
	TakesLastEventID bool   `json:"takesLastEventId"`
	// Drops the events, or keeps them if kept is not nil.
	parse func(stream io.Reader, lastEventID string, kept *outcome) error
}

type reader struct {
	reads    [][]byte
	at       int       // in the first of them
	deadline time.Time // none if zero
}

var errTooSlow = errors.New("too slow")

func (r *reader) Read(into []byte) (int, error) {
	if !r.deadline.IsZero() && time.Now().After(r.deadline) {
		return 0, errTooSlow
	}
	for len(r.reads) > 0 && r.at == len(r.reads[0]) {
		r.reads, r.at = r.reads[1:], 0
	}
	if len(r.reads) == 0 {
		return 0, io.EOF
	}
	count := copy(into, r.reads[0][r.at:])
	r.at += count
	return count, nil
}

func ended(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return nil // the standard discards an unfinished event
	}
	return err
}

// Neither type is exported, but the methods of both events are.
type retryable interface{ Retry() int64 }

var parsers = []parser{
	{
		Name:       "donovanhide/eventsource",
		TellsRetry: true,
		parse: func(stream io.Reader, _ string, kept *outcome) error {
			decoder := donovanhide.NewDecoder(stream)
			for {
				got, err := decoder.Decode()
				if err != nil {
					return ended(err)
				}
				if kept != nil {
					kept.add(got.Event(), got.Data(), got.Id(), got.(retryable).Retry())
				}
			}
		},
	},
	{
		Name:             "launchdarkly/eventsource",
		TellsRetry:       true,
		TakesLastEventID: true,
		parse: func(stream io.Reader, id string, kept *outcome) error {
			option := launchdarkly.DecoderOptionLastEventID(id)
			decoder := launchdarkly.NewDecoderWithOptions(stream, option)
			for {
				got, err := decoder.Decode()
				if err != nil {
					return ended(err)
				}
				if kept != nil {
					id := got.(launchdarkly.EventWithLastID).LastEventID()
					kept.add(got.Event(), got.Data(), id, got.(retryable).Retry())
				}
			}
		},
	},
	{
		Name: "tmaxmax/go-sse",
		parse: func(stream io.Reader, _ string, kept *outcome) error {
			var failure error
			settings := &sse.ReadConfig{MaxEventSize: maxEventSize}
			sse.Read(stream, settings)(func(got sse.Event, err error) bool {
				if err != nil {
					failure = err
					return false
				}
				if kept != nil {
					kept.add(got.Type, got.Data, got.LastEventID, 0)
				}
				return true
			})
			return failure
		},
	},
	{
		Name: "openai/openai-go",
		parse: func(stream io.Reader, _ string, kept *outcome) error {
			decoder := ssestream.NewDecoder(&http.Response{Body: io.NopCloser(stream)})
			for decoder.Next() {
				got := decoder.Event()
				if kept != nil {
					// It leaves the last line feed of the data, which JSON ignores.
					data := strings.TrimSuffix(string(got.Data), "\n")
					kept.add(got.Type, data, nil, 0)
				}
			}
			return decoder.Err()
		},
	},
}

var reads [][]byte

func find(name string) (*parser, error) {
	for at := range parsers {
		if parsers[at].Name == name {
			return &parsers[at], nil
		}
	}
	return nil, fmt.Errorf("no parser %q", name)
}

type command struct {
	Command     string `json:"command"`
	File        string `json:"file"`
	Lengths     []int  `json:"lengths"`
	Parser      string `json:"parser"`
	LastEventID string `json:"lastEventId"`
	// Seconds after which a parser is given up.
	Limit float64 `json:"limit"`
	Loops int     `json:"loops"`
}

func load(asked command) (any, error) {
	stream, err := os.ReadFile(asked.File)
	if err != nil {
		return nil, err
	}
	reads = nil
	for _, length := range asked.Lengths {
		reads = append(reads, stream[:length:length])
		stream = stream[length:]
	}
	return struct{}{}, nil
}

func events(asked command) (any, error) {
	parser, err := find(asked.Parser)
	if err != nil {
		return nil, err
	}
	kept := outcome{Events: []view{}}
	deadline := time.Now().Add(time.Duration(asked.Limit * float64(time.Second)))
	err = parser.parse(&reader{reads: reads, deadline: deadline}, asked.LastEventID, &kept)
	if err != nil && time.Now().After(deadline) { // not all parsers pass errTooSlow on
		return map[string]bool{"tooSlow": true}, nil
	}
	return kept, err
}

func sample(asked command) (any, error) {
	parser, err := find(asked.Parser)
	if err != nil {
		return nil, err
	}
	runtime.GC()
	started := time.Now()
	for loop := 0; loop < asked.Loops; loop++ {
		if err := parser.parse(&reader{reads: reads}, "", nil); err != nil {
			return nil, err
		}
	}
	return map[string]float64{"seconds": time.Since(started).Seconds()}, nil
}

func answer(asked command) (any, error) {
	switch asked.Command {
	case "parsers":
		version := strings.TrimPrefix(runtime.Version(), "go")
		// The program does not build without all of them.
		return map[string]any{"version": version, "missing": []string{}, "parsers": parsers}, nil
	case "load":
		return load(asked)
	case "events":
		return events(asked)
	case "sample":
		return sample(asked)
	}
	return nil, fmt.Errorf("no command %q", asked.Command)
}

func main() {
	if build, ok := debug.ReadBuildInfo(); ok {
		for at := range parsers {
			for _, module := range build.Deps {
				if strings.Contains(module.Path, parsers[at].Name) {
					parsers[at].Version = strings.TrimPrefix(module.Version, "v")
				}
			}
		}
	}
	input := json.NewDecoder(bufio.NewReader(os.Stdin))
	output := json.NewEncoder(os.Stdout)
	for {
		var asked command
		if err := input.Decode(&asked); err != nil {
			return // the end of the input
		}
		got, err := answer(asked)
		if err != nil {
			got = map[string]string{"error": err.Error()}
		}
		if err := output.Encode(got); err != nil {
			return
		}
	}
}
