-- AlterTable
ALTER TABLE "change_proposals" ADD COLUMN     "kept" BYTEA;
