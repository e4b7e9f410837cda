package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/tiercel-io/tiercel/detection"
)

const (
	// heartbeat keeps proxies, which close what is silent for a minute or
	// less, from closing a stream, and finds out that a client is gone.
	heartbeat = 15 * time.Second
	// feedWriteWait is how long a client may take to take what is written; one
	// that does not read must not hold a place for ever.
	feedWriteWait = 10 * time.Second
	// feedAhead is how many detections are read ahead of the client: some
	// megabytes at most.
	feedAhead = 16
)

type feedInput struct {
	TenantParam
	After       uint64 `query:"after" doc:"The number of the last detection that was received; 0 begins with the oldest that is kept."`
	MinLevel    string `query:"min_level" enum:"informational,low,medium,high,critical" doc:"Lowest level."`
	Rule        string `query:"rule" maxLength:"200" doc:"Id of a rule."`
	LastEventID string `header:"Last-Event-ID" maxLength:"20" doc:"What a client of server-sent events sends when it comes again; it counts if it is larger than after."`
	Accept      string `header:"Accept" hidden:"true"`
}

// wants reports whether the client asked for a detection.
func (in *feedInput) wants(d *detection.Detection) bool {
	return (in.Rule == "" || in.Rule == d.Rule.ID) && (in.MinLevel == "" || detection.LevelRank(d.Rule.Level) >= detection.LevelRank(in.MinLevel))
}

func (s *server) followDetections(_ context.Context, c *caller, in *feedInput) (*huma.StreamResponse, error) {
	after := in.After
	if in.LastEventID != "" {
		last, err := strconv.ParseUint(in.LastEventID, 10, 64)
		if err != nil {
			return nil, invalid("header.Last-Event-ID", "it is not a number of the feed")
		}
		after = max(after, last)
	}
	var out feedForm = eventStream{}
	if acceptsLines(in.Accept) {
		out = lineStream{}
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		req, w := humago.Unwrap(ctx)
		if req.ProtoMajor == 1 {
			// Its last write deadline must not meet another request.
			w.Header().Set("Connection", "close")
		}
		s.stream(req.Context(), w, c, in, after, out)
	}}, nil
}

// acceptsLines reports whether a client asks for JSON lines and not for
// events.
func acceptsLines(accept string) bool {
	for part := range strings.SplitSeq(accept, ",") {
		switch kind, _, _ := mime.ParseMediaType(part); kind {
		case "application/x-ndjson", "application/jsonl":
			return true
		case "text/event-stream":
			return false
		}
	}
	return false
}

// feedForm is one of the two forms of a stream.
type feedForm interface {
	contentType() string
	detection(w io.Writer, d *detection.Detection) error
	// comment writes what a client skips.
	comment(w io.Writer, text string)
}

type eventStream struct{}

func (eventStream) contentType() string { return "text/event-stream" }

func (eventStream) detection(w io.Writer, d *detection.Detection) error {
	fmt.Fprintf(w, "id: %d\nevent: detection\ndata: ", d.Seq)
	err := jsonFormat.Marshal(w, d) // one line, with its line feed
	fmt.Fprint(w, "\n")
	return err
}

func (eventStream) comment(w io.Writer, text string) { fmt.Fprintf(w, ": %s\n\n", text) }

type lineStream struct{}

func (lineStream) contentType() string { return "application/x-ndjson" }

func (lineStream) detection(w io.Writer, d *detection.Detection) error {
	return jsonFormat.Marshal(w, d)
}

func (lineStream) comment(w io.Writer, _ string) { fmt.Fprint(w, "\n") }

// stream writes the feed until the client goes, stops reading, or the process
// stops. A goroutine reads ahead and has ended when stream returns.
func (s *server) stream(ctx context.Context, w http.ResponseWriter, c *caller, in *feedInput, after uint64, out feedForm) {
	ctx, cancel := context.WithCancel(ctx)
	found := make(chan *detection.Detection, feedAhead)
	go func() {
		defer close(found)
		feed := s.detections.Feed(c.tenant, after)
		for {
			list, err := feed.Next(ctx)
			if err != nil {
				if ctx.Err() == nil {
					s.log.Error("detection feed ended", "error", bounded(err.Error()))
				}
				return
			}
			for _, d := range list {
				if !in.wants(d) {
					continue
				}
				select {
				case found <- d:
				case <-ctx.Done():
					return
				}
			}
		}
	}()
	defer func() {
		cancel()
		for range found {
			continue // until the reader has ended
		}
	}()

	control := http.NewResponseController(w)
	// A writer without deadlines or flushing, as in a test, is written to all
	// the same.
	flush := func() bool {
		err := control.Flush()
		return err == nil || errors.Is(err, http.ErrNotSupported)
	}
	deadline := func() { _ = control.SetWriteDeadline(s.clock.Now().Add(feedWriteWait)) }
	w.Header().Set("Content-Type", out.contentType())
	w.Header().Set("X-Accel-Buffering", "no") // a proxy must not gather it
	deadline()
	w.WriteHeader(http.StatusOK)
	out.comment(w, "begin")
	if !flush() {
		return
	}
	beat := s.clock.NewTimer(heartbeat)
	defer beat.Stop()
	for {
		select {
		case d, ok := <-found:
			if !ok {
				return
			}
			deadline()
			d.Evidence = full(d.Evidence)
			if out.detection(w, d) != nil || len(found) == 0 && !flush() {
				return
			}
		case <-beat.C():
			deadline()
			out.comment(w, "heartbeat")
			if !flush() {
				return
			}
		case <-ctx.Done():
			return
		case <-s.stopped:
			out.comment(w, "stopped")
			flush()
			return
		}
		beat.Reset(heartbeat)
	}
}
