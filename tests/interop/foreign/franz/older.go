// SPDX-License-Identifier: LicenseRef-OfficeFlow

//go:build !go1.26

package main

func testNewer() {}
