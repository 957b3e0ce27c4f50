-- AlterTable
ALTER TABLE "change_proposals" ADD COLUMN     "hands" UUID[] DEFAULT ARRAY[]::UUID[];
