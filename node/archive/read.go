package archive

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"concord/catalog"
)

// Read reads an archive in little memory, checks all of it, and calls block with the records of each block in turn. The
// last checksum comes last: whoever acts on blocks reads the same bytes without acting first. The records belong to
// block until it returns.
func Read(r io.Reader, block func(records []byte) error) (Meta, error) {
	in := bufio.NewReader(r)
	gz, err := gzip.NewReader(in)
	if err != nil {
		return Meta{}, fmt.Errorf("failed to decompress snapshot: %w", noEOF(err))
	}
	gz.Multistream(false)
	m, err := readParts(tar.NewReader(gz), block)
	if err != nil {
		return Meta{}, fmt.Errorf("failed to read snapshot file: %w", err)
	}
	if n, err := io.Copy(io.Discard, io.LimitReader(gz, maxTail+1)); err != nil || n > maxTail {
		return Meta{}, errors.Join(fmt.Errorf("%w: something follows the files", ErrCorrupt), err)
	}
	if _, err := in.ReadByte(); err != io.EOF {
		return Meta{}, errors.Join(fmt.Errorf("%w: something follows the archive", ErrCorrupt), err)
	}
	return m, nil
}

// noEOF is an error which does not look like an orderly end.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func readParts(t *tar.Reader, block func([]byte) error) (m Meta, err error) {
	text, err := readSmall(t, metaName)
	if err != nil {
		return m, fmt.Errorf("failed to read snapshot metadata: %w", err)
	}
	if m, err = decodeMeta(text); err != nil {
		return m, err
	}
	size, err := next(t, stateName)
	if err != nil {
		return m, fmt.Errorf("failed to read snapshot state: %w", err)
	}
	if size != m.Size {
		return m, fmt.Errorf("%w: the state has %d bytes, not %d", ErrCorrupt, size, m.Size)
	}
	hash := sha256.New()
	if err := readState(bufio.NewReaderSize(io.TeeReader(t, hash), 64<<10), m.Index, block); err != nil {
		return m, fmt.Errorf("failed to read snapshot state: %w", err)
	}
	list, err := readSmall(t, sumsName)
	if err != nil {
		return m, fmt.Errorf("failed to read snapshot checksums: %w", err)
	}
	if string(list) != sums(sha256.Sum256(text), [sha256.Size]byte(hash.Sum(nil))) {
		return m, fmt.Errorf("%w: the checksums do not match", ErrCorrupt)
	}
	if h, err := t.Next(); err == nil {
		return m, fmt.Errorf("unexpected file %q in snapshot", h.Name)
	} else if err != io.EOF {
		return m, err
	}
	return m, nil
}

// next goes on to the part of that name and returns its size.
func next(t *tar.Reader, name string) (int64, error) {
	h, err := t.Next()
	if err != nil {
		return 0, noEOF(err)
	}
	if h.Name != name || h.Typeflag != tar.TypeReg {
		return 0, fmt.Errorf("unexpected file %q in snapshot", h.Name)
	}
	return h.Size, nil
}

func readSmall(t *tar.Reader, name string) ([]byte, error) {
	size, err := next(t, name)
	if err != nil {
		return nil, err
	}
	if size > maxMeta {
		return nil, fmt.Errorf("%w: %s has %d bytes", ErrCorrupt, name, size)
	}
	p := make([]byte, size)
	_, err = io.ReadFull(t, p)
	return p, noEOF(err)
}

func decodeMeta(text []byte) (Meta, error) {
	var m Meta
	var version struct{ Version json.RawMessage }
	if err := json.Unmarshal(text, &version); err != nil {
		return m, fmt.Errorf("failed to decode snapshot metadata: %w", err)
	}
	if _, err := json.Number(version.Version).Int64(); err == nil {
		return m, fmt.Errorf("%w: it is one of Consul, whose state cannot be read here; move its keys with 'kv export' and 'kv import'", ErrForeign)
	}
	if !bytes.Equal(version.Version, []byte(`"`+Version+`"`)) {
		return m, fmt.Errorf("%w: it has version %s, this is %q", ErrForeign, version.Version, Version)
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return m, fmt.Errorf("failed to decode snapshot metadata: %w", err)
	}
	return m, nil
}

func readState(r *bufio.Reader, index uint64, block func([]byte) error) error {
	magic := make([]byte, len(stateMagic))
	if _, err := io.ReadFull(r, magic); err != nil {
		return noEOF(err)
	}
	if string(magic) != stateMagic {
		return fmt.Errorf("%w: the state begins with %q", ErrForeign, magic)
	}
	var p, last []byte
	for {
		n, err := binary.ReadUvarint(r)
		if err != nil {
			return noEOF(err)
		}
		if n == 0 {
			break
		}
		if n > maxBlock {
			return fmt.Errorf("%w: a block of %d bytes", ErrCorrupt, n)
		}
		if p, err = readBlock(r, p, int(n)); err != nil {
			return err
		}
		if last, err = checkRecords(p, last, index); err != nil {
			return err
		}
		if err := block(p); err != nil {
			return err
		}
	}
	if _, err := r.ReadByte(); err != io.EOF {
		return errors.Join(fmt.Errorf("%w: something follows the state", ErrCorrupt), err)
	}
	return nil
}

// readBlock reads a block into p, which grows as the bytes come.
func readBlock(r *bufio.Reader, p []byte, n int) ([]byte, error) {
	b := bytes.NewBuffer(p[:0])
	if _, err := io.CopyN(b, r, int64(n)); err != nil {
		return nil, noEOF(err)
	}
	var sum [4]byte
	if _, err := io.ReadFull(r, sum[:]); err != nil {
		return nil, noEOF(err)
	}
	if binary.BigEndian.Uint32(sum[:]) != crc32.Checksum(b.Bytes(), castagnoli) {
		return nil, fmt.Errorf("%w: the checksum of a block does not match", ErrCorrupt)
	}
	return b.Bytes(), nil
}

// checkRecords checks records, whose keys follow on last, and returns the last of them.
func checkRecords(p, last []byte, index uint64) ([]byte, error) {
	for len(p) > 0 {
		k, v, rest, ok := catalog.CutRecord(p)
		if !ok {
			return nil, fmt.Errorf("%w: a record is malformed", ErrCorrupt)
		}
		if bytes.Compare(k, last) <= 0 {
			return nil, fmt.Errorf("%w: key %q is not in order", ErrCorrupt, k)
		}
		if err := catalog.CheckRecord(k, v, index); err != nil {
			return nil, err
		}
		last, p = append(last[:0], k...), rest
	}
	return last, nil
}
