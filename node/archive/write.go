package archive

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"time"
)

// stateWriter writes a state.
type stateWriter struct {
	w    *bufio.Writer
	size int64
}

func newStateWriter(w io.Writer) *stateWriter {
	s := &stateWriter{w: bufio.NewWriterSize(w, 64<<10)}
	s.write([]byte(stateMagic))
	return s
}

// write leaves errors to the writer, which keeps them until close.
func (s *stateWriter) write(p []byte) {
	n, _ := s.w.Write(p)
	s.size += int64(n)
}

// block adds records.
func (s *stateWriter) block(records []byte) error {
	if len(records) == 0 {
		return nil
	}
	s.write(binary.AppendUvarint(nil, uint64(len(records))))
	s.write(records)
	s.write(binary.BigEndian.AppendUint32(nil, crc32.Checksum(records, castagnoli)))
	_, err := s.w.Write(nil)
	return err
}

// close writes the end and returns the size of the whole.
func (s *stateWriter) close() (int64, error) {
	s.write([]byte{0})
	return s.size, s.w.Flush()
}

// Write writes an archive of a state, which has the size that the description tells.
func Write(w io.Writer, m Meta, state io.Reader) error {
	gz := gzip.NewWriter(w)
	t := tar.NewWriter(gz)
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	modified := time.Now()
	add := func(name string, size int64) error {
		return t.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: size, ModTime: modified})
	}
	if err := add(metaName, int64(len(text))); err != nil {
		return fmt.Errorf("failed to write snapshot metadata: %w", err)
	}
	if _, err := t.Write(text); err != nil {
		return fmt.Errorf("failed to write snapshot metadata: %w", err)
	}
	if err := add(stateName, m.Size); err != nil {
		return fmt.Errorf("failed to write snapshot state: %w", err)
	}
	hash := sha256.New()
	if _, err := io.Copy(io.MultiWriter(t, hash), state); err != nil {
		return fmt.Errorf("failed to write snapshot state: %w", err)
	}
	list := sums(sha256.Sum256(text), [sha256.Size]byte(hash.Sum(nil)))
	if err := add(sumsName, int64(len(list))); err != nil {
		return fmt.Errorf("failed to write snapshot checksums: %w", err)
	}
	if _, err := io.WriteString(t, list); err != nil {
		return fmt.Errorf("failed to write snapshot checksums: %w", err)
	}
	if err := t.Close(); err != nil {
		return fmt.Errorf("failed to write snapshot: %w", err)
	}
	if err := gz.Close(); err != nil {
		return fmt.Errorf("failed to compress snapshot: %w", err)
	}
	return nil
}
