// Verifies exported access logs by golang.org/x/mod/sumdb/note and tlog, whose authors know nothing of Tokenvault: every
// signature, hash, root, tile and proof here is theirs. What is ours is reading files and texts.
//
// Reads jobs from standard input, one JSON object a line, and answers each with a line: `ok ENTRIES`, or
// `bad INDEX|- PROBLEM` with the first entry that is wrong. A job names a folder, a verifier key, checkpoints that the
// log must continue, and changes to files that are made in memory only.
package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A change replaces Remove bytes at Offset of a file by others; Remove < 0 takes the whole file away.
type change struct {
	Path   string
	Offset int
	Remove int
	Insert []byte
}

type job struct {
	Folder      string
	Key         string
	Checkpoints [][]byte
	Changes     []change
}

// bad is what is wrong, and the first entry that it concerns; -1 if it concerns none.
type bad struct {
	index   int64
	problem string
}

func (b *bad) Error() string { return b.problem }

var originals = map[string][]byte{}

func original(path string) []byte {
	data, known := originals[path]
	if !known {
		data, _ = os.ReadFile(path) // what can't be read is not there
		originals[path] = data
	}
	return data
}

// files gives a reader of the folder's files with the changes made. A file that is missing is empty.
func (j *job) files() func(string) []byte {
	changed := map[string][]byte{}
	for _, c := range j.Changes {
		data, ok := changed[c.Path]
		if !ok {
			data = original(filepath.Join(j.Folder, c.Path))
		}
		if c.Remove < 0 {
			changed[c.Path] = nil
			continue
		}
		changed[c.Path] = bytes.Join([][]byte{data[:c.Offset], c.Insert, data[c.Offset+c.Remove:]}, nil)
	}
	return func(path string) []byte {
		if data, ok := changed[path]; ok {
			return data
		}
		return original(filepath.Join(j.Folder, path))
	}
}

// openCheckpoint gives the head that a checkpoint states, if the key signed it.
func openCheckpoint(msg []byte, verifier note.Verifier) (tlog.Tree, error) {
	opened, err := note.Open(msg, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	for _, sig := range opened.Sigs {
		// note takes base64 with stray bits in its last character, too: another text, and the same signature.
		if _, err := base64.StdEncoding.Strict().DecodeString(sig.Base64); err != nil {
			return tlog.Tree{}, err
		}
	}
	// tlog.ParseTree is for Go's own log alone: it wants another first line.
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() {
		return tlog.Tree{}, errors.New("no checkpoint of this log")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, err
	}
	root, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: root}, err
}

// c2sp turns Go's path of a tile of height 8, tile/8/<level>/…, into that of tlog-tiles, tile/<level>/….
func c2sp(tile tlog.Tile, kind string) string {
	rest := strings.SplitN(tile.Path(), "/", 4)[3]
	return "tile/" + kind + "/" + rest
}

// tilesOf lists the tiles of a log of this size. (tlog.NewTiles lists narrower ones too, at the right edge.)
func tilesOf(size int64) (tiles []tlog.Tile) {
	for level := 0; size > 0; level++ {
		for n := int64(0); n < size>>8; n++ {
			tiles = append(tiles, tlog.Tile{H: 8, L: level, N: n, W: 256})
		}
		if width := int(size & 255); width > 0 {
			tiles = append(tiles, tlog.Tile{H: 8, L: level, N: size >> 8, W: width})
		}
		size >>= 8
	}
	return tiles
}

// storage holds the hashes of a tree in the order in which tlog numbers them.
type storage []tlog.Hash

func (s storage) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		if index >= int64(len(s)) {
			return nil, errors.New("no such hash")
		}
		hashes[i] = s[index]
	}
	return hashes, nil
}

func verify(j *job) (int64, error) {
	verifier, err := note.NewVerifier(strings.TrimSpace(j.Key))
	if err != nil {
		return 0, err
	}
	read := j.files()
	tree, err := openCheckpoint(read("checkpoint"), verifier)
	if err != nil {
		return 0, err
	}
	var heads []tlog.Tree
	for _, msg := range j.Checkpoints {
		head, err := openCheckpoint(msg, verifier)
		if err != nil {
			return 0, err
		}
		heads = append(heads, head)
	}

	// Of a pruned log the entries below its minimum index need not be there: their hashes are.
	var minimum int64
	if stated := read("minimum_index"); len(stated) > 0 {
		text := strings.TrimSuffix(string(stated), "\n")
		minimum, err = strconv.ParseInt(text, 10, 64)
		if err != nil || strconv.FormatInt(minimum, 10)+"\n" != string(stated) || minimum&255 != 0 ||
			minimum < 0 || minimum > tree.N {
			return 0, errors.New("minimum_index holds no multiple of 256 up to the log's size")
		}
	}

	// What shows first to who reads entry by entry: each fault comes with when that is, twice the number of entries read
	// and one more if it is of the next entry itself.
	var stored storage
	var first *bad
	var firstWhen int64
	found := func(when, index int64, problem string) {
		if first == nil || when < firstWhen {
			first, firstWhen = &bad{index, problem}, when
		}
	}
	var newest uint64
	tiles := tilesOf(tree.N)
	for _, tile := range tiles {
		if tile.L != 0 || first != nil {
			continue
		}
		bundle, hashes := read(c2sp(tile, "entries")), read(c2sp(tile, "0"))
		index := tile.N << 8
		pruned := index < minimum && len(bundle) == 0
		for end := index + int64(tile.W); index < end && first == nil; index++ {
			if pruned {
				if len(hashes) != tile.W*tlog.HashSize {
					found(2*index+1, index, "the tile is missing or has a wrong length")
					break
				}
				var leaf tlog.Hash
				copy(leaf[:], hashes[int(index&255)*tlog.HashSize:])
				more, err := tlog.StoredHashesForRecordHash(index, leaf, stored)
				if err != nil {
					return 0, err
				}
				stored = append(stored, more...)
				continue
			}
			if len(bundle) < 2 || len(bundle)-2 < int(binary.BigEndian.Uint16(bundle)) {
				found(2*index+1, index, "the entry is missing")
				break
			}
			length := int(binary.BigEndian.Uint16(bundle))
			entry := bundle[2 : 2+length]
			bundle = bundle[2+length:]
			leaf := tlog.RecordHash(entry)
			at := int(index&255) * tlog.HashSize
			switch {
			case len(hashes) != tile.W*tlog.HashSize || !bytes.Equal(hashes[at:at+tlog.HashSize], leaf[:]):
				found(2*index+1, index, "the entry and its tile contradict each other")
			case len(entry) < 69 || entry[0] != 1:
				found(2*index+1, index, "it is no entry of version 1")
			default:
				time := binary.BigEndian.Uint64(entry) << 8 >> 16
				if time < newest {
					found(2*index+1, index, "its log time lies before that of the entry before it")
				}
				newest = time
			}
			if first != nil {
				break // what is made of a wrong leaf is wrong as well, and says nothing more
			}
			more, err := tlog.StoredHashesForRecordHash(index, leaf, stored)
			if err != nil {
				return 0, err
			}
			stored = append(stored, more...)
		}
		if first == nil && len(bundle) > 0 {
			found(2*index, index-1, "the bundle goes on after its last entry")
		}
	}
	// Every tile of the log, made anew by tlog from the entries; of what could not be read there is none.
	for _, tile := range tiles {
		want, err := tlog.ReadTileData(tile, stored)
		if err != nil {
			continue
		}
		have := read(c2sp(tile, strconv.Itoa(tile.L)))
		for i := 0; i < tile.W; i++ {
			at := i * tlog.HashSize
			if len(have) != len(want) || !bytes.Equal(have[at:at+tlog.HashSize], want[at:at+tlog.HashSize]) {
				at, bits := tile.N<<8+int64(i), 8*uint(tile.L)
				found(2*((at+1)<<bits), at<<bits, "the entries and "+c2sp(tile, strconv.Itoa(tile.L))+" differ")
				break
			}
		}
	}
	// Every head is of the same tree, as far as that could be made.
	heads = append(heads, tree)
	sort.Slice(heads, func(i, k int) bool { return heads[i].N < heads[k].N })
	var vouched int64
	for _, head := range heads {
		if head.N > tree.N {
			found(math.MaxInt64, tree.N, "the log was cut off or rolled back")
			break
		}
		root, err := tlog.TreeHash(head.N, stored)
		if err != nil {
			break
		}
		if root != head.Hash {
			found(2*head.N, vouched, fmt.Sprintf("the first %d entries have another root than was signed", head.N))
			break
		}
		vouched = head.N
	}
	if first != nil {
		return 0, first
	}
	for _, head := range heads {
		proof, err := tlog.ProveTree(tree.N, head.N, stored)
		if err != nil {
			return 0, err
		}
		if err := tlog.CheckTree(proof, tree.N, tree.Hash, head.N, head.Hash); err != nil {
			return 0, err
		}
	}
	return tree.N, nil
}

func main() {
	in, out := bufio.NewReaderSize(os.Stdin, 1<<20), bufio.NewWriter(os.Stdout)
	defer out.Flush()
	decoder := json.NewDecoder(in)
	for {
		var j job
		if err := decoder.Decode(&j); err == io.EOF {
			return
		} else if err != nil {
			fmt.Fprintln(os.Stderr, "verify.go:", err)
			out.Flush()
			os.Exit(2)
		}
		entries, err := verify(&j)
		var located *bad
		switch {
		case err == nil:
			fmt.Fprintln(out, "ok", entries)
		case errors.As(err, &located):
			fmt.Fprintln(out, "bad", located.index, located.problem)
		default:
			fmt.Fprintln(out, "bad -", strings.ReplaceAll(err.Error(), "\n", " "))
		}
	}
}
